import type { ServingRelease } from './bundle.ts'
import type { Service } from './compose.ts'
import { differences } from './plan-differences.ts'
import { replicasOf } from './services.ts'

/** What is different in `after`. No values of env variables: only their names. */
export interface ReleaseDiff {
  readonly services: readonly {
    readonly service: string
    readonly change: 'added' | 'removed' | 'changed'
    readonly what: readonly string[]
  }[]
  readonly content: readonly { readonly name: string; readonly change: 'added' | 'removed' | 'changed' }[]
}

/** Compares two releases by their bundles. Pure. */
export function diffReleases(before: ServingRelease, after: ServingRelease): ReleaseDiff {
  const [was, is] = [before.model.services, after.model.services]
  const rendering = { model: after.model, content: after.bundle.content, data: [] }
  const compared = { images: after.bundle.images, serving: before, target: rendering }
  const services = [...new Set([...Object.keys(was), ...Object.keys(is)])]
    .toSorted()
    .flatMap((service): ReleaseDiff['services'][number][] => {
      const [old, now] = [was[service], is[service]]
      if (old === undefined) return [{ service, change: 'added', what: [] }]
      if (now === undefined) return [{ service, change: 'removed', what: [] }]
      const what = [...differences(service, now, old, compared), ...replicaChange(old, now)]
      return what.length === 0 ? [] : [{ service, change: 'changed', what }]
    })
  return { services, content: diffContent(before, after) }
}

/** The number is nothing that Compose makes another container for, but it is not the same release. */
function replicaChange(before: Service, after: Service): string[] {
  const [was, is] = [replicasOf(before), replicasOf(after)]
  return was === is ? [] : [`replicas changed (${was} to ${is})`]
}

function diffContent(before: ServingRelease, after: ServingRelease): ReleaseDiff['content'] {
  const was = new Map(before.bundle.content.map(({ name, hash }) => [name, hash]))
  const is = new Map(after.bundle.content.map(({ name, hash }) => [name, hash]))
  return [...new Set([...was.keys(), ...is.keys()])].toSorted().flatMap((name) => {
    if (was.get(name) === is.get(name)) return []
    return [{ name, change: !was.has(name) ? 'added' : !is.has(name) ? 'removed' : 'changed' }] as const
  })
}
