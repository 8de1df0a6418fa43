import type { Mount, Service } from '../../compose/model.ts'
import { canonical, sameContent } from '../../util/canonical.ts'
import { compare } from '../../util/format.ts'
import type { PlanInput } from '../input.ts'

/** The parts of a plan's input that are compared with the live release. */
type Compared = Pick<PlanInput, 'images' | 'serving' | 'target'>

/** @returns what differs from the live release, in words without values. */
export function differences(service: string, target: Service, before: Service, input: Compared): string[] {
  const now = input.images[service]
  const was = input.serving?.bundle.images[service]
  const reasons = now && was && now.fingerprint !== was.fingerprint ? ['image changed'] : []
  const [a, b] = [comparable(before), comparable(target)]
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)].toSorted()))
    if (!sameContent(a[key], b[key])) reasons.push(describeChange(key, a[key], b[key], input))
  return reasons
}

/** The settings that define a container. The image is compared by content, the number of replicas elsewhere. */
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
    // A null means something here: a network without settings, and a variable of the image that is removed.
    networks: Object.entries(rest.networks ?? {})
      .map(([name, settings]) => ({ name, settings }))
      .toSorted((x, y) => compare(x.name, y.name)),
    environment: mapNull(rest.environment),
  }
  const value = canonical(all)
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

/** `create_host_path` matters only for missing folders. Earlier versions of Stagecraft always set it to false. */
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

/** @returns the files whose mounts have another hash than before. The hash is in the path, and in the source's name. */
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
