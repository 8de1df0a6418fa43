import type { ComposeModel, Resource, Service } from '../../compose/model.ts'
import { migrationJobs } from '../../config/databases.ts'
import type { ServiceConfig } from '../../config/parse.ts'
import { scheduledServices } from '../../config/services/jobs.ts'
import { modelImages } from '../../docker/images.ts'
import { cleanPath, exposedServices, type Route, routeNetwork, slotAlias } from '../../plan/routes/table.ts'
import type { Project } from '../../project/settings.ts'

/** The key of the network on which the proxy reaches routed services: Compose makes it, and recreated containers join it. */
const ROUTES = 'stagecraft-routes'

/** @returns the model for `dev`: names and images are its own, routed services are on the network of the routes */
export function devModel({ model, environment }: Pick<Project, 'model' | 'environment'>): ComposeModel {
  const { names, built } = modelImages(model, 'dev')
  const routed = new Set(exposedServices(environment.services).flatMap(([name, { host }]) => (host ? [name] : [])))
  const services = Object.entries(model.services).map(([name, service]): [string, Service] => {
    const { profiles: _, image: _i, pull_policy, ...own } = service // what is here is active
    const image = names.get(name)
    return [
      name,
      {
        ...(routed.has(name) ? withRoutes(own, slotAlias(model.name, name, 'a')) : own),
        ...(image ? { image } : {}),
        ...(pull_policy && !built.has(image ?? '') ? { pull_policy } : {}),
        ...(own.build ? { build: withoutTags(own.build) } : {}),
      },
    ]
  })
  const networks = ownNames(model, model.networks)
  const volumes = ownNames(model, model.volumes)
  return {
    ...model,
    services: Object.fromEntries(services),
    networks:
      routed.size > 0 ? { ...networks, [ROUTES]: { name: routeNetwork(model.name), internal: true } } : networks,
    ...(model.volumes ? { volumes } : {}),
  }
}

function withRoutes(service: Service, alias: string): Service {
  return { ...service, networks: { ...(service.networks ?? { default: null }), [ROUTES]: { aliases: [alias] } } }
}

/** Other tags may be those that somebody else runs. */
function withoutTags({ tags: _, ...build }: NonNullable<Service['build']>) {
  return build
}

/** A `name:` of its own would be that of a release on the same engine too. */
function ownNames(model: ComposeModel, resources: ComposeModel['networks'] = {}): Record<string, Resource | null> {
  const named = Object.entries(resources).map(([key, resource]) => [
    key,
    resource?.external ? resource : { ...resource, name: `${model.name}_${key}` },
  ])
  return Object.fromEntries(named)
}

/** @returns the model without the jobs that migrations run, and those with a schedule: Compose would run them at once */
export function withoutMigrationJobs(model: ComposeModel, environment: Project['environment']): ComposeModel {
  const jobs = [...migrationJobs(environment), ...scheduledServices(environment.services).map(([name]) => name)]
  const services = Object.entries(model.services)
    .filter(([name]) => !jobs.includes(name))
    .map(([name, service]) => {
      const needs = Object.entries(service.depends_on ?? {}).filter(([need]) => !jobs.includes(need))
      return [name, service.depends_on ? { ...service, depends_on: Object.fromEntries(needs) } : service] as const
    })
  return { ...model, services: Object.fromEntries(services) }
}

/** @returns the routes of `dev`: all hosts become names of this machine, with certificates of the proxy's own authority */
export function devRoutes(services: Readonly<Record<string, ServiceConfig>>): Route[] {
  const exposed = exposedServices(services)
  const all = new Set(exposed.flatMap(([, { host = [] }]) => host))
  const short = [...all].map(shortName)
  const nameOf = (host: string) =>
    short.filter((name) => name === shortName(host)).length === 1 ? shortName(host) : `${host}.localhost`
  return exposed.flatMap(([service, { host = [], path = '/', port, protocol }]): Route[] =>
    host.length === 0
      ? []
      : [
          {
            service,
            hosts: host.map(nameOf),
            path: cleanPath(path),
            tls: 'internal',
            ports: { a: port, b: port },
            ...(protocol === 'h2c' ? { h2c: ['a', 'b'] } : {}),
          },
        ],
  )
}

/** `shop.example.com` is `shop.localhost`, `*.example.com` is `*.example.localhost`; a name of this machine stays. */
function shortName(host: string): string {
  if (/(^|\.)localhost$/.test(host)) return host
  const [, wild = '', label] = /^(\*\.)?([^.]+)/.exec(host) ?? []
  return `${wild}${label}.localhost`
}
