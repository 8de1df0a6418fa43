import type { RecoveryOutcome } from '../../output/events.ts'
import type { Undone } from '../../phases/rollout/undo/request.ts'
import type { RoutingTable } from '../../plan/routes/table.ts'
import type { Bundle } from '../../record/bundle.ts'
import type { Unsettled } from '../../record/unsettled.ts'

/** What a recovery did on one host. */
export interface Settled {
  readonly outcome: RecoveryOutcome
  readonly did: string
  /** the routes and slots of the proxy there, if they are not those of the release; what has its schedules */
  readonly routed?: (Partial<RoutingTable> & Pick<Bundle, 'scheduler'>) | undefined
}

/** @returns the most serious outcome, and what was done: for each host by itself if that differs. */
export function together(settled: readonly Settled[], hosts: readonly { readonly name: string }[]): Settled {
  const [first = { outcome: 'nothing', did: '' } as const] = settled
  if (settled.every(({ did }) => did === first.did)) return first
  const order: readonly RecoveryOutcome[] = ['not-undone', 'undone', 'finished', 'nothing']
  const outcome = order.find((each) => settled.some((one) => one.outcome === each)) ?? first.outcome
  return { outcome, did: settled.map(({ did }, at) => `On ${hosts[at]?.name}: ${did}`).join(' ') }
}

export const FINISHED: Settled = {
  outcome: 'finished',
  did: 'It had switched, so it stays live, and its old containers are removed.',
}

/** For a host that went back to the previous release, although the first host has the commit point. */
export const WENT_BACK: Settled = {
  outcome: 'finished',
  did: 'It went back to the previous release, although the new one is live: the next deploy repairs it.',
}

/** @returns what an undo did, in a sentence. */
export function undoneText({ removed, restored }: Undone): string {
  const count = `${removed} new ${removed === 1 ? 'container' : 'containers'}`
  const did = [
    ...(restored.length > 0 ? [`${restored.join(', ')} restored`] : []),
    ...(removed > 0 ? [`${count} removed`] : []),
  ]
  return did.length === 0 ? 'There was nothing to undo.' : `Undone: ${did.join(', ')}.`
}

/** @returns what was found: a release whose run died, or one that failed and left something behind */
export function introduce({ release, phase, bundle }: Unsettled): string {
  const what = `${release.version} (${release.id})`
  const who = bundle?.actor ? ` by ${bundle.actor.user} on ${bundle.actor.machine}` : ''
  const kind = bundle?.rollback_to === undefined ? 'deploy' : 'rollback'
  if (phase === undefined) return `the ${kind} of ${what} failed, and left something behind.`
  return `${what} was interrupted in ${phase}: the ${kind}${who} died.`
}

/** @returns what a run that died had begun: whether it ended is not known */
export function begun({ migrating, hook }: Partial<Bundle> = {}): string[] {
  return [
    ...(migrating
      ? [
          `The migration of ${migrating.database} had begun, and may still be at work: ${migrating.name}. What it did stays.`,
        ]
      : []),
    ...(hook ? [`Its hook ${hook.name} was running, and was ended: ${hook.command}.`] : []),
  ]
}
