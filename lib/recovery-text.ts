import type { RecoveryOutcome } from './events.ts'
import type { PutBack } from './put-back.ts'
import type { Routed } from './routes.ts'

/** What was done on one host about a run that died. */
export interface Settled {
  readonly outcome: RecoveryOutcome
  readonly did: string
  /** what the proxy does there, where it is not what the release would have it do */
  readonly routed?: Routed | undefined
}

/** @returns the outcome that matters most; of several hosts what was done on each, where it was not the same */
export function together(
  settled: readonly Settled[],
  hosts: readonly { readonly name: string | undefined }[],
): Settled {
  const [first = { outcome: 'nothing', did: '' } as const] = settled
  if (settled.every(({ did }) => did === first.did)) return first
  const order: readonly RecoveryOutcome[] = ['not-undone', 'undone', 'finished', 'nothing']
  const outcome = order.find((each) => settled.some((one) => one.outcome === each)) ?? first.outcome
  return { outcome, did: settled.map(({ did }, at) => `On ${hosts[at]?.name}: ${did}`).join(' ') }
}

/** What is said of a host that went back, while the first had kept the commit point. */
export const WENT_BACK: Settled = {
  outcome: 'finished',
  did: 'It went back to what served before, although the release serves: the next deploy makes it what it should be.',
}

/** @returns what undoing did, in a sentence */
export function tellUndone({ removed, restored }: PutBack): string {
  const count = `${removed} new ${removed === 1 ? 'container' : 'containers'}`
  const did = [
    ...(restored.length > 0 ? [`${restored.join(', ')} put back`] : []),
    ...(removed > 0 ? [`${count} removed`] : []),
  ]
  return did.length === 0 ? 'There was nothing to undo.' : `Undone: ${did.join(', ')}.`
}
