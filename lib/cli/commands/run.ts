import { stagePlace } from '../../docker/compose/up.ts'
import { runAttached } from '../../docker/streams/attached.ts'
import { findLiveService } from '../../project/live.ts'
import { removeTree } from '../../system/remove-tree.ts'
import { makeTempFolder } from '../../system/temp-folder.ts'
import { StagecraftError } from '../../util/errors.ts'
import { command, environmentArgument } from '../command.ts'
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
    [0, 'the command ended with 0; any other exit code of it is the exit code'],
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment, service or host; no release is live'],
    [5, 'docker cannot tell what exists'],
    [8, 'a host or the engine cannot be reached'],
    [9, 'the state cannot be read'],
  ],
  async run({ service, env, host }, context) {
    const settings = await openSettingsOf({ env }, context)
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
