import { canonical, sameContent } from './canonical.ts'
import type { Mount, Service } from './compose.ts'
import type { PlanInput } from './plan.ts'

/** What two releases are compared by. */
export type Compared = Pick<PlanInput, 'images' | 'serving' | 'target'>

/** @returns what differs from the serving release, in words without values. */
export function differences(service: string, target: Service, before: Service, input: Compared): string[] {
  const now = input.images[service]
  const was = input.serving?.bundle.images[service]
  const reasons = now && was && now.fingerprint !== was.fingerprint ? ['its image changed'] : []
  const [a, b] = [comparable(before), comparable(target)]
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)].toSorted()))
    if (!sameContent(a[key], b[key])) reasons.push(describeChange(key, a[key], b[key], input))
  return reasons
}

/** What makes Compose create another container: the image is compared by content, the number of replicas apart. */
function comparable(service: Service): Record<string, unknown> {
  const { image: _image, scale: _scale, deploy, ...rest } = service
  const { replicas: _replicas, ...deployment } = deploy ?? {}
  const files = (list: Service['configs']) => list?.map((file) => ({ ...file, mode: octal(file.mode) }))
  const all = {
    ...rest,
    volumes: rest.volumes?.map(withoutMaker),
    deploy: deployment,
    configs: files(rest.configs),
    secrets: files(rest.secrets),
    // Here a null says something: to be on a network with nothing special, and to take a variable of the image away.
    networks: Object.entries(rest.networks ?? {})
      .map(([name, settings]) => ({ name, settings }))
      .toSorted((x, y) => (x.name < y.name ? -1 : 1)),
    environment: mapNull(rest.environment),
  }
  const value = canonical(all)
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

/** Whether the engine makes a folder that is missing says nothing of one that is there: earlier versions said never. */
function withoutMaker(mount: Mount): Mount {
  if (!mount.bind) return mount
  const { create_host_path: _, ...bind } = mount.bind
  return { ...mount, bind }
}

function mapNull(variables: Service['environment']): Record<string, string | false> {
  return Object.fromEntries(Object.entries(variables ?? {}).map(([name, value]) => [name, value ?? false]))
}

/** Compose 2.26 prints a mode as a number, 2.40 as a text. */
function octal(mode: number | string | undefined): number | undefined {
  return typeof mode === 'string' ? Number.parseInt(mode, 8) : mode
}

function describeChange(key: string, before: unknown, now: unknown, input: Compared): string {
  if (key === 'environment') return `environment changed (${changedKeys(before, now).join(', ')})`
  const changed = ['volumes', 'configs', 'secrets'].includes(key) ? changedContent(now, input) : []
  return changed.length > 0 ? `content of ${changed.join(', ')} changed` : `${key} changed`
}

/** @returns the files that are mounted there by another hash than before: it is in the path, and in the source's name. */
function changedContent(mounts: unknown, input: Compared): string[] {
  const before = new Map(input.serving?.bundle.content.map(({ name, hash }) => [name, hash]))
  const mounted = JSON.stringify(mounts ?? [])
  return input.target.content
    .filter(({ name, hash }) => before.has(name) && before.get(name) !== hash && mounted.includes(hash.slice(0, 12)))
    .map(({ name }) => name)
}

function changedKeys(before: unknown, now: unknown): string[] {
  const [a, b] = [{ ...(before ?? {}) }, { ...(now ?? {}) }] as [Record<string, unknown>, Record<string, unknown>] // maps, from canonical()
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((key) => a[key] !== b[key]).toSorted()
}
