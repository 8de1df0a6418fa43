import type { PhaseName } from '../../plan/six-phases.ts'
import { BUILD } from '../build.ts'
import { FINALIZE } from '../finalize.ts'
import type { HostRequest } from '../host-run.ts'
import { NOT_ROLLED_BACK, willMigrate } from '../migrate/describe.ts'
import { PUSH } from '../push.ts'

/** The plan says it service by service. */
export const describeRollout = () => 'as follows'

/** @returns what each phase will do on a host, in one line. */
export function describePhases(request: HostRequest): Readonly<Record<PhaseName, string>> {
  const isRollback = request.target !== undefined
  const kind = isRollback ? 'rollback' : 'deploy'
  const notRolledBack = `nothing: ${NOT_ROLLED_BACK}`
  return {
    build: BUILD[kind].describe(request),
    push: PUSH[kind].describe(request),
    migrate_pre: isRollback ? notRolledBack : willMigrate('pre_deploy')(request),
    rollout: describeRollout(),
    migrate_post: isRollback ? notRolledBack : willMigrate('post_deploy')(request),
    finalize: FINALIZE[kind].describe(request),
  }
}
