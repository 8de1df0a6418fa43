import { type Context, command } from '../cli.ts'
import { StagecraftError } from '../errors.ts'
import { exclusively } from '../exclusive.ts'
import { isComplete } from '../find-release.ts'
import { quote } from '../format.ts'
import { namesOfSettings } from '../known-secrets.ts'
import { formatPlan } from '../plan-format.ts'
import type { Settings } from '../project.ts'
import { planRollback, prepareRollback, type Rollback, rollback } from '../rollback.ts'
import type { RollbackRequest } from '../rollback-target.ts'
import { namesOfModel } from '../secrets.ts'
import type { World } from '../world.ts'
import { environmentArgument, openSettingsOf, openWorld, parseWait, waitArgument } from './release-arguments.ts'

export default command({
  name: 'rollback',
  description:
    'Put an earlier release back, exactly as it was: its images, files, env values and settings. Builds nothing.',
  args: {
    env: environmentArgument,
    'to-previous': { type: 'boolean', description: 'the release that served before this one (the default)' },
    'to-release': { type: 'string', valueHint: 'id', description: 'this release' },
    'to-version': { type: 'string', valueHint: 'version', description: 'the newest completed release of this version' },
    wait: waitArgument,
    'dry-run': { type: 'boolean', description: 'show the plan, and write nothing, anywhere' },
    yes: { type: 'boolean', alias: 'y', description: 'go on although migrations ran since' },
  },
  examples: [
    ['stagecraft rollback', 'back to what served before; again: further back'],
    ['stagecraft rollback --env prod --to-version v1.4.2', 'back to the newest completed release of v1.4.2'],
    ['stagecraft rollback --dry-run', 'what would it do?'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid; nothing was changed'],
    [4, 'nothing to roll back to, or an image of it is nowhere to be had; nothing was changed'],
    [5, 'a phase failed; what served before serves'],
    [6, 'a phase failed, and what served before could not be put back'],
    [7, 'another run is at it, or somebody holds the environment (stagecraft lock status)'],
    [8, 'the engine cannot be reached'],
    [9, 'the state cannot be read or written'],
    [10, 'a phase after the switch failed; the release that was put back serves'],
  ],
  async run(args, context) {
    const [request, wait] = [requestOf(args), parseWait(args.wait)]
    const settings = await openSettingsOf(args, context)
    const world = openWorld(context, settings)
    if (args['dry-run']) {
      const prepared = prepare(settings, request, world, context)
      const { migrations } = prepared
      for (const [at, plan] of (await planRollback(prepared, world)).entries())
        context.report.result('plan', { plan, migrations }, () => [
          ...formatPlan(plan),
          ...(at === 0 ? migrationLines(prepared) : []),
        ])
      return 0
    }
    const done = await exclusively(settings, { command: 'rollback', wait }, world, async (locked) => {
      const prepared = prepare(settings, request, locked, context) // what was done meanwhile counts
      await confirmMigrations(prepared, args.yes, context.interactive)
      const undo = undoLine(prepared, Object.keys(settings.config.environments).length > 1)
      return { release: await rollback(prepared, locked), target: prepared.target.bundle.id, undo }
    })
    const { release, target, undo } = done
    context.report.result('rolled-back', { release, target }, () => [
      `${release.version} serves in ${release.environment} (${release.id}), as in ${target}`,
      ...undo,
    ])
    return 0
  },
})

function prepare(settings: Settings, request: RollbackRequest, world: World, { report }: Context): Rollback {
  const prepared = prepareRollback(settings, request, world)
  const { project, version } = prepared.order
  report.secrets.add(project.secrets)
  report.secrets.addNames([...namesOfSettings(settings), ...namesOfModel(project.model), version.version])
  return prepared
}

/** What served can only be put back if it completed. An id names one environment, but a command needs its name. */
function undoLine({ order }: Rollback, several: boolean): string[] {
  const { environment } = order.project
  const before = order.serving && order.state.getRelease(order.serving.bundle.id)
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

/** Databases are not rolled back: whoever goes on must know what the old version will find there. */
async function confirmMigrations(prepared: Rollback, yes: boolean, interactive: boolean): Promise<void> {
  if (prepared.migrations.length === 0 || yes) return
  const detail = migrationLines(prepared).join('\n')
  const { version } = prepared.target.bundle
  const message = `Cannot roll back to ${version} without asking: migrations ran since, and they stay`
  const refused = new StagecraftError('usage', message, {
    detail,
    hint: 'Add --yes if this version can live with them.',
  })
  if (!interactive) throw refused
  const { ask } = await import('../report-terminal.ts')
  const answer = await ask(`${detail}\nRoll back to ${quote(version)} all the same? yes or no`, 'no')
  if (answer !== 'yes') throw refused
}

function migrationLines({ migrations }: Rollback): string[] {
  return migrations.map(({ release, name }) => `migration ${name} of ${release} stays`)
}
