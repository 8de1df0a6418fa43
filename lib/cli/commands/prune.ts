import type { Host } from '../../hosts/host.ts'
import { pruneAssets } from '../../phases/assets.ts'
import { looseObjects, type Objects, pruneObjects } from '../../phases/swarm/prune.ts'
import { buildMark } from '../../project/built-here.ts'
import { pruneNodes } from '../../project/engine/nodes.ts'
import { refuseForeign } from '../../project/ownership.ts'
import { type PrunePlan, planPrune, presentOnly, prune } from '../../project/prune.ts'
import { openReleaseDocker } from '../../project/session.ts'
import type { Settings } from '../../project/settings.ts'
import { newestProject } from '../../record/bundle/own.ts'
import { liveBundle } from '../../record/bundle.ts'
import { bundleOn, placeOf } from '../../record/bundle-parts.ts'
import { openState } from '../../record/releases.ts'
import { withEnvironmentLocked } from '../../release/locked.ts'
import { table } from '../../util/format.ts'
import { type Context, command, environmentArgument } from '../command.ts'
import { openSession, openSettingsOf, parseWait, waitArgument } from './release-arguments.ts'

export default command({
  name: 'prune',
  description:
    'Remove the bundles and images of old releases. The live release, the current one and the last `keep` completed ones stay.',
  args: {
    env: environmentArgument,
    wait: waitArgument,
    'dry-run': { type: 'boolean', description: 'print what would be removed, and remove nothing' },
  },
  examples: [
    ['stagecraft prune --dry-run', 'what would be removed?'],
    ['stagecraft prune --env prod', 'do what every deploy to prod does at its end'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid; the Compose project is that of another environment'],
    [4, 'no such environment'],
    [5, 'docker cannot list the images, or the proxy cannot remove assets'],
    [6, 'an earlier run died, and its changes could not be undone completely; nothing else was changed'],
    [7, 'another run is under way, or somebody holds the environment (stagecraft lock status)'],
    [8, 'a host or the engine cannot be reached'],
    [9, 'the state cannot be read; a bundle cannot be removed'],
  ],
  async run(args, context) {
    const { report } = context
    const wait = parseWait(args.wait)
    const settings = await openSettingsOf(args, context, { onSwarm: true })
    const { stateFile, environment } = settings
    const isSwarm = environment.engine === 'swarm'
    const session = openSession(context, settings)
    if (args['dry-run']) {
      for (const [host, plan] of openPlans(settings, context).plans) {
        const docker = openReleaseDocker({ secrets: [], host }, session)
        const { bundles, tags } = await presentOnly(docker, plan)
        const own = ownStack(settings)
        const objects = own && (await looseObjects(docker, { file: stateFile }, own, bundles))
        const found = { bundles, tags, ...objects }
        report.result('prune-plan', { ...named(settings, host), ...found }, () =>
          lines('would remove', found, settings, host),
        )
      }
      return 0
    }
    await withEnvironmentLocked(settings, { command: 'prune', wait }, session, async (locked) => {
      const project = newestProject(stateFile, environment.name)
      if (project !== undefined) await refuseForeign(settings, project, locked)
      const own = ownStack(settings)
      const { state, plans, live } = openPlans(settings, context)
      for (const [host, plan] of plans) {
        const docker = openReleaseDocker({ secrets: [], host }, locked)
        const removed = await prune(docker, state, plan, host)
        if (isSwarm) await pruneNodes(host, plan, buildMark(settings), docker)
        const pruned = { ...removed, ...(own && (await pruneObjects(docker, state, own))) }
        const place = placeOf(host, settings.hosts)
        const now = live && bundleOn(settings.stateFile, live, place)
        if (now) await pruneAssets(docker, settings.stateFile, place, { now })
        report.result('pruned', { ...named(settings, host), ...pruned }, () =>
          lines('removed', { ...pruned, tags: pruned.tags.map((tag) => ({ tag, id: '' })) }, settings, host),
        )
      }
    })
    return 0
  },
})

/** Plans for all hosts before anything is removed: a plan needs the bundles that another one may remove. */
/** @returns what has configs and secrets on a Swarm; undefined: it is on none, or nothing was ever released */
function ownStack({ stateFile, environment: { name: environment, engine } }: Settings) {
  const project = engine === 'swarm' ? newestProject(stateFile, environment) : undefined
  return project === undefined ? undefined : { environment, project }
}

function openPlans({ environment, stateFile, hosts }: Settings, { clock }: Context) {
  const state = openState(stateFile, { clock })
  const { name, keep } = environment
  const live = liveBundle(stateFile, state.listReleases({ environment: name }))
  const planOn = (host: Host) => planPrune(state, { environment: name, keep, serving: live?.id }, placeOf(host, hosts))
  return { state, live, plans: hosts.map((host): [Host, PrunePlan] => [host, planOn(host)]) }
}

/** @returns the host's name, if there are several hosts */
function named({ hosts }: Settings, { name, isLocal }: Host): { host?: string } {
  return hosts.length > 1 && !isLocal ? { host: name } : {}
}

/** The releases in releases.json stay: only what a rollback needs is removed. */
function lines(
  done: string,
  { bundles, tags, configs = [], secrets = [] }: Pick<PrunePlan, 'bundles' | 'tags'> & Partial<Objects>,
  settings: Settings,
  host: Host,
): string[] {
  const where = named(settings, host).host
  const rows = [
    ...bundles.map((id) => [done, 'release', id]),
    ...tags.map(({ tag }) => [done, 'image', tag]),
    ...configs.map((name) => [done, 'config', name]),
    ...secrets.map((name) => [done, 'secret', name]),
  ]
  if (rows.length === 0) return [where ? `Nothing to prune on ${where}.` : 'Nothing to prune.']
  return table(where ? rows.map((row) => [where, ...row]) : rows)
}
