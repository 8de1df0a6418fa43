import { bundleIds, contentFolder, readBundle, servingBundle } from '../bundle.ts'
import { placeOf } from '../bundle-parts.ts'
import { type Context, command } from '../cli.ts'
import type { Docker } from '../docker.ts'
import { exclusively } from '../exclusive.ts'
import { table } from '../format.ts'
import type { Host } from '../host.ts'
import { refuseForeign } from '../ownership.ts'
import type { Settings } from '../project.ts'
import { type Pruned, type PrunePlan, planPrune, presentOnly, prune, pruneContent, pruneTags } from '../prune.ts'
import { openState, type State } from '../state.ts'
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
        const present = await presentOnly(openReleaseDocker({ secrets: [], host }, world), plan)
        report.result('prune-plan', { ...named(settings, host), ...present }, () =>
          lines('would remove', present, settings, host),
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
        const pruned =
          host === settings.host ? await prune(docker, state, plan) : await pruneOther(docker, state, plan, host)
        report.result('pruned', { ...named(settings, host), ...pruned }, () =>
          lines('removed', { ...pruned, tags: pruned.tags.map((tag) => ({ tag, id: '' })) }, settings, host),
        )
      }
    })
    return 0
  },
})

/** @returns the Compose project's name, as a release that is kept has it */
function projectOf({ stateFile }: Settings): string | undefined {
  const [id] = bundleIds(stateFile).slice(-1)
  return id === undefined ? undefined : readBundle(stateFile, id)?.project
}

/** Bundles are on the first host: it is the last whose plan can be made, and the first that is pruned. */
function openPlans({ environment, stateFile, host, hosts }: Settings, { clock }: Context) {
  const state = openState(stateFile, { clock })
  const { name, keep } = environment
  const serving = servingBundle(stateFile, state.listReleases({ environment: name }))?.id
  const plans = hosts.map((each): [Host, PrunePlan] => {
    const place = placeOf(each, hosts)
    const plan = planPrune(state, { environment: name, keep, serving }, place)
    return [each, each === host ? plan : { ...plan, bundles: [] }]
  })
  return { state, plans }
}

async function pruneOther(docker: Docker, state: State, plan: PrunePlan, host: Host): Promise<Pruned> {
  const tags = await pruneTags(docker, plan)
  return { bundles: [], tags, content: pruneContent(state, contentFolder(host.stateFile)) }
}

/** @returns which host it is about, where there are several */
function named({ hosts }: Settings, { name }: Host): { host?: string } {
  return hosts.length > 1 && name !== undefined ? { host: name } : {}
}

/** History in releases.json is never pruned: what goes is what a rollback would need. */
function lines(done: string, { bundles, tags }: PrunePlan, settings: Settings, host: Host): string[] {
  const where = named(settings, host).host
  if (bundles.length === 0 && tags.length === 0) return [where ? `Nothing to prune on ${where}.` : 'Nothing to prune.']
  const rows = [...bundles.map((id) => [done, 'release', id]), ...tags.map(({ tag }) => [done, 'image', tag])]
  return table(where ? rows.map((row) => [where, ...row]) : rows)
}
