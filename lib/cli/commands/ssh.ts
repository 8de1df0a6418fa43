import { sshArguments } from '../../config/host-address.ts'
import { loadConfig, selectEnvironment } from '../../config/parse.ts'
import { resolveTailscale } from '../../hosts/ssh/tailscale.ts'
import { attach } from '../../system/attach.ts'
import { exec } from '../../system/exec.ts'
import { StagecraftError } from '../../util/errors.ts'
import { quote, quotePosix } from '../../util/format.ts'
import { namesHint } from '../../util/nearest.ts'
import { command, environmentArgument } from '../command.ts'

export default command({
  name: 'ssh',
  description: 'Log in to a host of an environment with ssh, as deploys do.',
  args: {
    host: { type: 'positional', required: false, description: 'as in stagecraft.yml (default: the first)' },
    env: environmentArgument,
  },
  rest: 'a command to run there instead of a shell: several words are passed on as they are, one word is a line for its shell',
  examples: [
    ['stagecraft ssh --env prod', 'a shell on the first host'],
    ['stagecraft ssh deploy@web-2 -- df -h', 'one command on another one'],
  ],
  exits: [
    [0, "the command ended with 0; any other exit code is passed on, and 255 is ssh's own"],
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment or host; the environment has no hosts'],
  ],
  async run({ host: wanted, env }, context) {
    const { name, hosts = [] } = selectEnvironment(await loadConfig(context.directory), env)
    if (hosts.length === 0)
      throw new StagecraftError('not-found', `Cannot log in to ${name}: it has no hosts`, {
        hint: "It runs on this machine's engine.",
      })
    const host = wanted === undefined ? hosts[0] : hosts.find(({ written, name }) => [written, name].includes(wanted))
    if (host === undefined)
      throw new StagecraftError('not-found', `Cannot find host ${quote(wanted ?? '')} in ${name}`, {
        hint: namesHint(
          'Hosts',
          wanted ?? '',
          hosts.map(({ written }) => written),
        ),
      })
    const found = host.tailscale ? await resolveTailscale(exec, host) : []
    // ssh joins words with spaces for the shell there: several words stay as they are here, one is a line of that shell.
    const [first, ...more] = context.rest
    const words = first === undefined ? [] : more.length === 0 ? [first] : [context.rest.map(quotePosix).join(' ')]
    return attach(['ssh', ...found, ...sshArguments(host), ...words])
  },
})
