import { openDocker } from '../../docker/client.ts'
import { stagePlace } from '../../docker/compose/up.ts'
import { runAttached } from '../../docker/streams/attached.ts'
import { createOutput } from '../../output/streams.ts'
import { findLiveService, findLiveTasks, type ServiceWish } from '../../project/live.ts'
import type { Settings } from '../../project/settings.ts'
import { runOnSwarm } from '../../release/by-hand/run-on-swarm.ts'
import { removeTree } from '../../system/remove-tree.ts'
import { untilSignal } from '../../system/signals.ts'
import { makeTempFolder } from '../../system/temp-folder.ts'
import { StagecraftError } from '../../util/errors.ts'
import { type Context, command, environmentArgument } from '../command.ts'
import { openSettingsOf } from './release-arguments.ts'

export default command({
  name: 'run',
  description:
    "Run a command in a new container of the live release's image, with its env, networks and volumes. It is removed afterwards.",
  args: {
    service: { type: 'positional', required: true, description: 'of the live release' },
    env: environmentArgument,
    host: { type: 'string', valueHint: 'host', description: 'as in stagecraft.yml (default: the first that has it)' },
  },
  rest: "the command and its arguments (default: the service's own)",
  examples: [
    ['stagecraft run web -- bin/rails console', 'a console of the version that is live'],
    ['stagecraft run web --env prod -- bin/import < users.csv', 'a script that reads what is piped in'],
  ],
  exits: [
    [0, 'the command ended with 0; any other exit code is passed on'],
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment, service or host; no release is live'],
    [5, 'docker cannot list what exists; on a Swarm: its task did not start, or was ended'],
    [8, 'a host or the engine cannot be reached'],
    [9, 'the state cannot be read'],
  ],
  async run({ service, env, host }, context) {
    const settings = await openSettingsOf({ env }, context, { onSwarm: true })
    if (settings.environment.engine === 'swarm') return runInTask(settings, { service, host }, context)
    const [first] = await findLiveService(settings, { service, host })
    if (first === undefined) throw new StagecraftError('bug', `Cannot run ${service}: no host is known for it`)
    const { model, bundle } = first.release
    const tty = context.isTerminal(0) && context.isTerminal(1)
    const folder = makeTempFolder('model')
    context.onEnd(async () => removeTree(folder))
    const name = `${bundle.project}-run-${service.toLowerCase()}-${crypto.randomUUID().slice(0, 8)}`
    const command = context.rest.length > 0 ? context.rest : undefined
    const oneOff = { service, command, name, labels: ['stagecraft.run=1'] }
    const stage = { model, ...stagePlace(settings) }
    return first.host.attach(await runAttached(first.docker, stage, oneOff, { tty, folder }))
  },
})

/** Swarm attaches nothing to a task: what it prints is shown, and what is typed or piped in does not reach it. */
async function runInTask(settings: Settings, wish: ServiceWish, context: Context): Promise<number> {
  const { service } = wish
  const tell = (message: string, hint: string) => context.report.emit({ type: 'warning', message, hint })
  const isTyped = context.isTerminal(0)
  const input = isTyped ? 'none' : await lookAtInput()
  if (input === 'some') throw fed(service)
  if (input === 'open') tell(`Swarm passes none of what is piped in to ${service}`, 'Without input: add </dev/null')
  if (isTyped && context.rest.length === 0)
    tell(`what is typed does not reach ${service} on a Swarm`, `For a shell: stagecraft exec ${service}`)
  const { host, release } = await findLiveTasks(settings, wish)
  const signal = untilSignal()
  const outputs = { stdout: createOutput(1), stderr: createOutput(2) }
  const code = await runOnSwarm(
    release.model,
    { service, command: context.rest.length > 0 ? context.rest : undefined },
    {
      docker: openDocker(host.exec, (text) => text, { signal }),
      undoDocker: openDocker(host.exec, (text) => text),
      clock: { now: context.clock, sleep: (ms) => Bun.sleep(ms) },
      onLine: (line, stream) => outputs[stream].write(`${line}\n`),
    },
  ).catch((error: unknown) => {
    if (signal.aborted) return 128 + Number(signal.reason)
    throw error
  })
  return outputs.stdout.failure === 'EPIPE' && code === 0 ? 141 : code
}

/** Milliseconds for what is piped in to come, or to end. */
const INPUT = 1_000

/** @returns whether stdin has something that the command would miss; `open`: it may still come */
async function lookAtInput(): Promise<'none' | 'some' | 'open'> {
  const reader = Bun.stdin.stream().getReader()
  const first = reader.read().then(
    ({ done }) => (done ? ('none' as const) : ('some' as const)),
    () => 'none' as const, // it is closed
  )
  const seen = await Promise.race([first, Bun.sleep(INPUT).then(() => 'open' as const)])
  void reader.cancel().catch(() => {})
  return seen
}

function fed(service: string): StagecraftError {
  return new StagecraftError('usage', `Cannot run ${service} with this input: Swarm passes none to a new task`, {
    hint: `Without input: add </dev/null. With it: stagecraft exec ${service} -- …, in a task that runs.`,
  })
}
