import type { Planning } from '../../phases/rollout/planning.ts'
import { formatPlan } from '../../plan/format.ts'
import type { Session } from '../../project/session.ts'
import { planToken, type Wanted } from '../../release/approval/token.ts'
import type { Context } from '../command.ts'

/** Prints the plan of a deploy, a host after the other. With `--json` each has the token, otherwise it is a last line if asked for. */
export async function printPlans(
  plannings: readonly Planning[],
  wanted: Wanted,
  session: Session,
  { report }: Context,
  asked: { readonly token: boolean },
): Promise<void> {
  const isJson = report.mode === 'json'
  const token = isJson || asked.token ? await planToken(plannings, wanted, session) : ''
  for (const { plan, isLoose } of plannings)
    report.result('plan', { plan, ...(isJson ? { token } : {}) }, () => formatPlan(plan, isLoose))
  if (asked.token && !isJson) report.text([token])
}
