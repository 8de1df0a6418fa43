import { formatPlan } from '../../plan/format.ts'
import { namesOfSettings } from '../../project/secrets/known.ts'
import type { Session } from '../../project/session.ts'
import { type Settings, withoutHooks } from '../../project/settings.ts'
import { isComplete } from '../../record/find-release.ts'
import type { RollbackRequest } from '../../record/rollback-target.ts'
import { withEnvironmentLocked } from '../../release/locked.ts'
import { planRollback, prepareRollback, type Rollback, rollback } from '../../release/rollback.ts'
import { namesOfModel } from '../../secrets/find.ts'
import { StagecraftError } from '../../util/errors.ts'
import { quote } from '../../util/format.ts'
import { type Context, command, environmentArgument } from '../command.ts'
import { noHooksArgument, openSession, openSettingsOf, parseWait, waitArgument } from './release-arguments.ts'

export default command({
  name: 'rollback',
  description:
    'Restore an earlier release exactly as it was: its images, files, env values and settings. Builds nothing.',
  args: {
    env: environmentArgument,
    'to-previous': { type: 'boolean', description: 'the previous release (the default)' },
    'to-release': { type: 'string', valueHint: 'id', description: 'this release' },
    'to-version': { type: 'string', valueHint: 'version', description: 'the newest completed release of this version' },
    wait: waitArgument,
    'no-hooks': noHooksArgument,
    'dry-run': { type: 'boolean', description: 'show the plan, and write nothing' },
    yes: { type: 'boolean', alias: 'y', description: 'do not ask, even if migrations ran since then' },
  },
  examples: [
    ['stagecraft rollback', 'back to the previous release; run it again to go further back'],
    ['stagecraft rollback --env prod --to-version v1.4.2', 'back to the newest completed release of v1.4.2'],
    ['stagecraft rollback --dry-run', 'what would it do?'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid; nothing was changed'],
    [4, 'no such environment, or no release to roll back to; an image of it is gone; nothing was changed'],
    [5, 'a phase failed; the release that was live is still live'],
    [6, 'a phase failed, and the release that was live could not be restored'],
    [7, 'another run is under way, or somebody holds the environment (stagecraft lock status)'],
    [8, 'a host, the engine or a registry cannot be reached'],
    [9, 'the state cannot be read or written'],
    [10, 'a phase after the switch failed; the restored release is live'],
  ],
  async run(args, context) {
    const [request, wait] = [requestOf(args), parseWait(args.wait)]
    const opened = await openSettingsOf(args, context, { onSwarm: true })
    const settings = args['no-hooks'] ? withoutHooks(opened) : opened
    const session = openSession(context, settings)
    if (args['dry-run']) {
      const prepared = prepare(settings, request, session, context)
      const { migrations } = prepared
      for (const [at, { plan, isLoose }] of (await planRollback(prepared, session)).entries())
        context.report.result('plan', { plan, migrations }, () => [
          ...formatPlan(plan, isLoose),
          ...(at === 0 ? migrationLines(prepared) : []),
        ])
      return 0
    }
    const done = await withEnvironmentLocked(settings, { command: 'rollback', wait }, session, async (locked) => {
      const prepared = prepare(settings, request, locked, context) // another run may have ended before the lock was taken
      await confirmMigrations(prepared, args.yes, context.interactive)
      const undo = undoLine(prepared, Object.keys(settings.config.environments).length > 1)
      return { release: await rollback(prepared, locked), target: prepared.target.bundle.id, undo }
    })
    const { release, target, undo } = done
    context.report.result('rolled-back', { release, target }, () => [
      `${release.version} is live in ${release.environment} (${release.id}), as in ${target}`,
      ...undo,
    ])
    return 0
  },
})

function prepare(settings: Settings, request: RollbackRequest, session: Session, { report }: Context): Rollback {
  const prepared = prepareRollback(settings, request, session)
  const { project, version } = prepared.request
  report.secrets.add(project.secrets)
  report.secrets.addNames([...namesOfSettings(settings), ...namesOfModel(project.model), version.name])
  return prepared
}

/** How to go back to the release that was live: possible only if it completed. `--env` is needed if there are several. */
function undoLine({ request }: Rollback, several: boolean): string[] {
  const { environment } = request.project
  const before = request.serving && request.state.getRelease(request.serving.bundle.id)
  if (!before || !isComplete(before)) return []
  return [`To undo: stagecraft rollback${several ? ` --env ${environment.name}` : ''} --to-release ${before.id}`]
}

function requestOf(args: {
  readonly 'to-previous': boolean
  readonly 'to-release': string | undefined
  readonly 'to-version': string | undefined
}): RollbackRequest {
  const { 'to-release': reference, 'to-version': version } = args
  const asked = [args['to-previous'], reference !== undefined, version !== undefined].filter(Boolean).length
  if (asked > 1)
    throw new StagecraftError('usage', 'Cannot roll back to several releases: more than one --to-… is given', {
      hint: 'Give one of --to-previous, --to-release and --to-version, or none.',
    })
  if (reference !== undefined) return { to: 'release', reference }
  return version === undefined ? { to: 'previous' } : { to: 'version', version }
}

/** Databases are not rolled back: the user must confirm that the old version can work with migrations that ran since. */
async function confirmMigrations(prepared: Rollback, yes: boolean, interactive: boolean): Promise<void> {
  if (prepared.migrations.length === 0 || yes) return
  const detail = migrationLines(prepared).join('\n')
  const { version } = prepared.target.bundle
  const message = `Cannot roll back to ${version} without --yes: migrations ran since then, and they stay`
  const refused = new StagecraftError('usage', message, {
    detail,
    hint: 'Add --yes if this version can work with them.',
  })
  if (!interactive) throw refused
  const { ask } = await import('../../output/terminal.ts')
  const answer = await ask(`${detail}\nRoll back to ${quote(version)} anyway? yes or no`, 'no')
  if (answer !== 'yes') throw refused
}

function migrationLines({ migrations }: Rollback): string[] {
  return migrations.map(({ release, database, name }) => `migration ${name} of ${release} stays in ${database}`)
}
