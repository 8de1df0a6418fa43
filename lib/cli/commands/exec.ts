import { execAttached } from '../../docker/streams/attached.ts'
import { engineOfNode } from '../../hosts/node-engine.ts'
import { findLiveService, findLiveTasks, type ServiceWish } from '../../project/live.ts'
import type { Settings } from '../../project/settings.ts'
import { StagecraftError } from '../../util/errors.ts'
import { usage } from '../arguments.ts'
import { command, environmentArgument } from '../command.ts'
import { openSettingsOf } from './release-arguments.ts'

/** A shell: bash where there is one. */
const SHELL = ['sh', '-c', 'command -v bash >/dev/null && exec bash || exec sh']

export default command({
  name: 'exec',
  description: 'Run a command in a running container of a service; without one, a shell.',
  args: {
    service: { type: 'positional', required: true, description: 'of the live release' },
    env: environmentArgument,
    host: { type: 'string', valueHint: 'host', description: 'as in stagecraft.yml (default: the first that runs it)' },
    replica: { type: 'string', valueHint: 'number', description: 'which of its containers, from 1 (default: 1)' },
  },
  rest: 'the command and its arguments',
  examples: [
    ['stagecraft exec web', 'a shell in the first container of web'],
    ['stagecraft exec db --env prod -- pg_dump -U postgres app > dump.sql', 'a dump, byte for byte'],
    ['stagecraft exec db -- psql -U postgres app < dump.sql', 'and back'],
  ],
  exits: [
    [0, 'the command ended with 0; any other exit code is passed on'],
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment, service or host; no release is live; it has no such running container'],
    [8, 'a host or the engine cannot be reached; on a Swarm: the task runs on a node that is not one of the hosts'],
    [9, 'the state cannot be read'],
  ],
  async run({ service, env, host, replica = '1' }, context) {
    if (!/^[1-9]\d{0,3}$/.test(replica)) throw usage('exec', `"--replica ${replica}" is not a number from 1`)
    const settings = await openSettingsOf({ env }, context, { onSwarm: true })
    const at = Number(replica) - 1
    const { attach, id } = await (settings.environment.engine === 'swarm' ? findTask : findContainer)(
      settings,
      { service, host },
      at,
    )
    const tty = context.isTerminal(0) && context.isTerminal(1)
    const words = context.rest.length > 0 ? context.rest : SHELL
    return attach(execAttached(id, words, tty))
  },
})

async function findContainer(settings: Settings, wish: ServiceWish, at: number) {
  const live = await findLiveService(settings, wish)
  const running = live.flatMap(({ host, containers }) => containers.map(({ id }) => ({ attach: host.attach, id })))
  return running[at] ?? refuseMissing(wish, running.length)
}

/** A task's container is reached through the engine of its node alone. */
async function findTask(settings: Settings, wish: ServiceWish, at: number) {
  const { host, tasks } = await findLiveTasks(settings, wish)
  const task = tasks[at] ?? refuseMissing(wish, tasks.length)
  const { attach } = await engineOfNode(host, host.exec, task.node, `run in ${task.name}`)
  return { attach, id: task.container }
}

function refuseMissing({ service }: ServiceWish, count: number): never {
  throw new StagecraftError('not-found', `Cannot run in ${service}: ${countText(count)}`, {
    hint: `See: stagecraft status. To run it in a new container: stagecraft run ${service} -- …`,
  })
}

function countText(count: number): string {
  if (count === 0) return 'it has no running container'
  return `it has only ${count} running ${count === 1 ? 'container' : 'containers'}`
}
