import { bundleIds, readBundle, servingBundle } from '../bundle.ts'
import { placeOf } from '../bundle-parts.ts'
import { type Context, command } from '../cli.ts'
import { exclusively } from '../exclusive.ts'
import { table } from '../format.ts'
import type { Host } from '../host.ts'
import { refuseForeign } from '../ownership.ts'
import type { Settings } from '../project.ts'
import { type PrunePlan, planPrune, presentOnly, prune } from '../prune.ts'
import { openState } from '../state.ts'
import { openReleaseDocker } from '../world.ts'
import { environmentArgument, openSettingsOf, openWorld, parseWait, waitArgument } from './release-arguments.ts'

export default command({
  name: 'prune',
  description:
    'Remove the bundles and images of old releases: all but the serving and the current one and the last `keep` completed.',
  args: {
    env: environmentArgument,
    wait: waitArgument,
    'dry-run': { type: 'boolean', description: 'say what would go, and remove nothing' },
  },
  examples: [
    ['stagecraft prune --dry-run', 'what would go?'],
    ['stagecraft prune --env prod', 'as every deploy to prod does at its end'],
  ],
  exits: [
    [4, 'no such environment'],
    [6, 'what a run that died left could not be undone; nothing else was changed'],
    [7, 'another run is at it, or somebody holds the environment (stagecraft lock status)'],
    [8, 'the engine cannot be reached'],
    [9, 'the state cannot be read, or a bundle cannot be removed'],
  ],
  async run(args, context) {
    const { report } = context
    const wait = parseWait(args.wait)
    const settings = await openSettingsOf(args, context)
    const world = openWorld(context, settings)
    if (args['dry-run']) {
      for (const [host, plan] of openPlans(settings, context).plans) {
        const { bundles, tags } = await presentOnly(openReleaseDocker({ secrets: [], host }, world), plan)
        report.result('prune-plan', { ...named(settings, host), bundles, tags }, () =>
          lines('would remove', { bundles, tags }, settings, host),
        )
      }
      return 0
    }
    await exclusively(settings, { command: 'prune', wait }, world, async (locked) => {
      const project = projectOf(settings)
      if (project !== undefined) await refuseForeign(settings, project, locked)
      const { state, plans } = openPlans(settings, context)
      for (const [host, plan] of plans) {
        const docker = openReleaseDocker({ secrets: [], host }, locked)
        const pruned = await prune(docker, state, plan, host)
        report.result('pruned', { ...named(settings, host), ...pruned }, () =>
          lines('removed', { ...pruned, tags: pruned.tags.map((tag) => ({ tag, id: '' })) }, settings, host),
        )
      }
    })
    return 0
  },
})

/** @returns the Compose project's name, as the newest bundle of the environment has it, also where the state is not here any more */
function projectOf({ stateFile, environment }: Settings): string | undefined {
  const bundles = bundleIds(stateFile).map((id) => readBundle(stateFile, id))
  return bundles.findLast((bundle) => bundle?.environment === environment.name)?.project
}

/** All of them are made before anything goes: by bundles that may. */
function openPlans({ environment, stateFile, hosts }: Settings, { clock }: Context) {
  const state = openState(stateFile, { clock })
  const { name, keep } = environment
  const serving = servingBundle(stateFile, state.listReleases({ environment: name }))?.id
  const planOn = (host: Host) => planPrune(state, { environment: name, keep, serving }, placeOf(host, hosts))
  return { state, plans: hosts.map((host): [Host, PrunePlan] => [host, planOn(host)]) }
}

/** @returns which host it is about, where there are several */
function named({ hosts }: Settings, { name }: Host): { host?: string } {
  return hosts.length > 1 && name !== undefined ? { host: name } : {}
}

/** History in releases.json is never pruned: what goes is what a rollback would need. */
function lines(
  done: string,
  { bundles, tags }: Pick<PrunePlan, 'bundles' | 'tags'>,
  settings: Settings,
  host: Host,
): string[] {
  const where = named(settings, host).host
  if (bundles.length === 0 && tags.length === 0) return [where ? `Nothing to prune on ${where}.` : 'Nothing to prune.']
  const rows = [...bundles.map((id) => [done, 'release', id]), ...tags.map(({ tag }) => [done, 'image', tag])]
  return table(where ? rows.map((row) => [where, ...row]) : rows)
}
