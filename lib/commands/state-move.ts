import { command } from '../cli.ts'
import { exclusively } from '../exclusive.ts'
import { type Moved, moveState } from '../state-move.ts'
import { environmentArgument, openRelease, openWorld, parseWait, waitArgument } from './release-arguments.ts'

export default command({
  name: 'state move',
  description:
    'Bring the history of releases here, from the folder or host that keeps it, and let every engine know: deploys from ' +
    'there are refused afterwards.',
  args: {
    env: environmentArgument,
    wait: waitArgument,
    lost: { type: 'boolean', description: 'what kept it is gone for good: go on without its releases' },
  },
  examples: [
    ['stagecraft state move', 'the checkout has moved to another folder'],
    ['stagecraft state move --env prod', 'another host is the first now, or `root:` is another one'],
  ],
  exits: [
    [3, 'data that cannot be moved, or the Compose project of another environment'],
    [4, 'no such environment'],
    [6, 'what a run that died left could not be undone; nothing else was changed'],
    [7, 'another run is at it, here or there'],
    [8, 'a host or the engine cannot be reached'],
    [9, 'there are releases here as well, or those there cannot be had'],
  ],
  async run({ env, wait, lost }, context) {
    const { project } = await openRelease({ env, version: 'move' }, context)
    const turn = { command: 'state move', wait: parseWait(wait) }
    const { name } = project.model
    const moved = await exclusively(project, turn, openWorld(context, project), (locked) =>
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
  if (moved === undefined) return `${project} is kept here already: nothing to move`
  const { from, to, releases } = moved
  if (releases === 0)
    return `${project} is kept in ${to.root} on ${to.host} from now on; what ${from.root} on ${from.host} kept is gone`
  const count = `${releases} ${releases === 1 ? 'release' : 'releases'}`
  return `${project}: ${count} moved from ${from.root} on ${from.host} to ${to.root} on ${to.host}`
}
