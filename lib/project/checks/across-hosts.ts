import type { ComposeModel, Service } from '../../compose/model.ts'
import { tlsOf } from '../../config/edge/expose.ts'
import { aliasesOf, exposedServices } from '../../plan/routes/table.ts'
import { compare, listed } from '../../util/format.ts'
import type { Placed } from '../placement.ts'
import type { Project } from '../settings.ts'

interface Warning {
  readonly message: string
  readonly hint: string
}

type Whole = { readonly project: Pick<Project, 'model' | 'environment'>; readonly placed: readonly Placed[] }

/** @returns what will not work because it is on several hosts (spec/core/hosts.md, Several hosts) */
export function warningsAcrossHosts(whole: Whole): Warning[] {
  return whole.placed.length < 2 ? [] : [...namesOutOfReach(whole), ...sharedCertificates(whole)]
}

function hostsOf({ placed }: Whole, service: string): string[] {
  return placed.flatMap(({ project }) => (project.model.services[service] ? [project.host.name] : []))
}

function namesOutOfReach(whole: Whole): Warning[] {
  const { model } = whole.project
  const names = Object.keys(model.services).toSorted(compare)
  return names.flatMap((service) =>
    names.flatMap((other): Warning[] => {
      const own = hostsOf(whole, service)
      const its = hostsOf(whole, other)
      const lost = own.filter((host) => !its.includes(host))
      const where = other === service || lost.length === 0 ? [] : mentions(model.services[service] ?? {}, other)
      if (where.length === 0 || its.length === 0 || isAnswered(model, service, other)) return []
      return [
        {
          message: `${service} on ${listed(lost)} cannot reach ${other} by its name (${where.join(', ')}): ${other} runs on ${listed(its)}`,
          hint: `Publish ${other}'s port on a private address of its host, and give ${service} that address (\`extra_hosts: ["${other}:10.0.0.3"]\` in the Compose file).`,
        },
      ]
    }),
  )
}

/** What variables are called whose whole value is a host's name. */
const HOLDS_A_HOST = /HOST|ADDR|UR[IL]|SERVER|DSN|ENDPOINT|BROKER|UPSTREAM|NODES|BACKEND/i

/** @returns the names of variables, and `command`, that have a service's name as that of a host */
function mentions({ environment, command, entrypoint }: Service, name: string): string[] {
  const escaped = RegExp.escape(name)
  const inAddress = new RegExp(
    `(//([^/\\s@]*@)?|@|^|[\\s,=])${escaped}:\\d+(?![^/\\s]*@)|//([^/\\s@]*@)?${escaped}([/?,\\s]|$)`,
  )
  const alone = new RegExp(`(^|,)${escaped}(,|$)`)
  const variables = Object.entries(environment ?? {}).flatMap(([variable, value]) =>
    inAddress.test(value ?? '') || (HOLDS_A_HOST.test(variable) && alone.test(value ?? '')) ? [variable] : [],
  )
  const words = [command, entrypoint].flat().filter((word) => typeof word === 'string')
  return [...variables.toSorted(compare), ...(words.some((word) => inAddress.test(word)) ? ['command'] : [])]
}

/** A name may also be that of something else, or of a network that spans hosts. */
function isAnswered(model: ComposeModel, service: string, name: string): boolean {
  const { extra_hosts: extra, networks } = model.services[service] ?? {}
  const extraNames = Array.isArray(extra) ? extra.map((one) => String(one).split(/[:=]/)[0]) : Object.keys(extra ?? {})
  if (extraNames.includes(name)) return true
  const theirs = model.services[name]?.networks ?? {}
  return Object.keys(networks ?? {}).some((key) => {
    const network = model.networks?.[key]
    const spans = Boolean(network?.external) || network?.['driver'] === 'overlay'
    return (
      (spans && key in theirs) ||
      Object.values(model.services).some(
        (other) => other !== model.services[name] && aliasesOf(other.networks?.[key]).includes(name),
      )
    )
  })
}

function sharedCertificates(whole: Whole): Warning[] {
  if (whole.project.environment.proxy?.acme?.dns) return [] // each host gets one by itself
  return exposedServices(whole.project.environment.services).flatMap(([service, expose]) => {
    const { host = [] } = expose
    const hosts = hostsOf(whole, service)
    if (tlsOf(expose) !== 'auto' || host.length === 0 || hosts.length < 2) return []
    return [
      {
        message: `${listed(host)} ${host.length === 1 ? 'is' : 'are'} routed on ${listed(hosts)}, and only one of them can get ${host.length === 1 ? 'its certificate' : 'their certificates'}`,
        hint: `Behind a load balancer: \`tls: off\` of ${service} in stagecraft.yml. Without one: the DNS challenge (\`proxy: {acme: {dns: …}}\`), a certificate of your own, or ${service} on one host (services.${service}.hosts).`,
      },
    ]
  })
}
