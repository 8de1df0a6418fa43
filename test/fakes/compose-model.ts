import { createHash } from 'node:crypto'
import type { ComposeModel, Resource, Service } from '../../lib/compose/model.ts'

/** Over what Compose 2.26 hashes: not build, pull_policy and the number of replicas. */
export function configHash(service: Service): string {
  const { build: _build, pull_policy: _policy, scale: _scale, deploy, ...rest } = service
  const { replicas: _replicas, ...deployment } = deploy ?? {}
  return createHash('sha256')
    .update(JSON.stringify({ ...rest, ...(deploy ? { deploy: deployment } : {}) }))
    .digest('hex')
}

/** A model as `docker compose config` prints it: every network and volume named, every service on a network. */
export function composeModel(name: string, parts: Omit<ComposeModel, 'name'>): ComposeModel {
  const named = (resources: ComposeModel['networks']) =>
    Object.fromEntries(
      Object.entries(resources ?? {}).map(([key, resource]) => [key, { name: `${name}_${key}`, ...resource }]),
    )
  const services = Object.entries(parts.services).map(([key, service]): [string, Service] => [
    key,
    { command: null, entrypoint: null, ...(service.network_mode ? {} : { networks: { default: null } }), ...service },
  ])
  return {
    name,
    services: Object.fromEntries(services),
    networks: named({ default: { ipam: {} }, ...parts.networks }),
    ...(parts.volumes ? { volumes: named(parts.volumes) } : {}),
    ...(parts.configs ? { configs: named(parts.configs) } : {}),
    ...(parts.secrets ? { secrets: named(parts.secrets) } : {}),
  }
}

/** The same files under another project name. */
export function renameProject(model: ComposeModel, name: string): ComposeModel {
  const renamed = (resources: ComposeModel['networks']) =>
    Object.fromEntries(
      Object.entries(resources ?? {}).map(([key, resource]): [string, Resource] => [
        key,
        resource?.name === `${model.name}_${key}` ? { ...resource, name: `${name}_${key}` } : { ...resource },
      ]),
    )
  const kinds = ['networks', 'volumes', 'configs', 'secrets'] as const
  const present = kinds.filter((kind) => model[kind] !== undefined)
  return { ...model, name, ...Object.fromEntries(present.map((kind) => [kind, renamed(model[kind])])) }
}
