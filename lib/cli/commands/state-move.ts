import { withEnvironmentLocked } from '../../release/locked.ts'
import { type Moved, moveState } from '../../release/move-state.ts'
import { command, environmentArgument } from '../command.ts'
import { openProjectOf, openSession, parseWait, waitArgument } from './release-arguments.ts'

export default command({
  name: 'state move',
  description:
    'Move the history of releases here, from the folder or host that keeps it, and record that on every engine: ' +
    'deploys from the former place are refused afterwards.',
  args: {
    env: environmentArgument,
    wait: waitArgument,
    lost: { type: 'boolean', description: 'the former folder or host is gone for good: go on without its releases' },
  },
  examples: [
    ['stagecraft state move', 'the checkout has moved to another folder'],
    ['stagecraft state move --env prod', 'the first host or `root:` has changed'],
  ],
  exits: [
    [
      3,
      'stagecraft.yml or the Compose file is invalid; data cannot be moved; the Compose project is that of another environment',
    ],
    [4, 'no such environment'],
    [5, 'the new place cannot be recorded on an engine'],
    [6, 'an earlier run died, and its changes could not be undone completely; nothing else was changed'],
    [7, 'another run is under way, here or there'],
    [8, 'a host or the engine cannot be reached'],
    [9, 'there are releases here as well, or those there cannot be read'],
  ],
  async run({ env, wait, lost }, context) {
    const project = await openProjectOf({ env }, context, [], {
      onSwarm: 'Nothing is to be moved: the Swarm itself keeps the releases.',
    })
    const turn = { command: 'state move', wait: parseWait(wait) }
    const { name } = project.model
    const moved = await withEnvironmentLocked(project, turn, openSession(context, project), (locked) =>
      moveState(project, name, locked, { lost }),
    )
    context.report.result('state-moved', { project: name, ...moved }, () => movedLines(name, moved))
    return 0
  },
})

export function movedLines(project: string, moved: Moved | undefined): string[] {
  const mounted = (moved?.mounted ?? []).map(
    ({ host, from, to }) =>
      `${project}: data and content moved from ${from} to ${to}${host === '' ? '' : ` on ${host}`}`,
  )
  const isOnlyMounted = moved !== undefined && moved.from === moved.to
  return isOnlyMounted ? mounted : [movedLine(project, moved), ...mounted]
}

function movedLine(project: string, moved: Moved | undefined): string {
  if (moved === undefined) return `${project} is already kept here: nothing to move`
  const { from, to, releases } = moved
  if (releases === 0)
    return `${project} is kept in ${to.root} on ${to.host} from now on; its releases in ${from.root} on ${from.host} are lost`
  const count = `${releases} ${releases === 1 ? 'release' : 'releases'}`
  return `${project}: ${count} moved from ${from.root} on ${from.host} to ${to.root} on ${to.host}`
}
