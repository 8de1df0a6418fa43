import type { Service } from '../compose/model.ts'
import { replicasOf } from '../compose/topology.ts'
import type * as contract from '../output/contract/results.ts'
import { differences } from '../plan/services/differences.ts'
import type { Of } from '../util/schema.ts'
import type { LiveRelease } from './bundle.ts'

/** What is different in the second release. Of env variables only the names, never values. */
export type ReleaseDiff = Of<typeof contract.diff>

/** Compares two releases by their bundles. */
export function diffReleases(before: LiveRelease, after: LiveRelease): ReleaseDiff {
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

/** Compose recreates no container for a changed number of replicas, so `differences` does not compare it. */
function replicaChange(before: Service, after: Service): string[] {
  const [was, is] = [replicasOf(before), replicasOf(after)]
  return was === is ? [] : [`replicas changed (${was} to ${is})`]
}

function diffContent(before: LiveRelease, after: LiveRelease): ReleaseDiff['content'] {
  const was = new Map(before.bundle.content.map(({ name, hash }) => [name, hash]))
  const is = new Map(after.bundle.content.map(({ name, hash }) => [name, hash]))
  return [...new Set([...was.keys(), ...is.keys()])].toSorted().flatMap((name) => {
    if (was.get(name) === is.get(name)) return []
    return [{ name, change: !was.has(name) ? 'added' : !is.has(name) ? 'removed' : 'changed' }] as const
  })
}
