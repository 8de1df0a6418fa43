import { openDocker } from '../../docker/client.ts'
import { listContainers } from '../../docker/containers.ts'
import { isUp } from '../../docker/inspect.ts'
import { stop } from '../../docker/lifecycle.ts'
import { startAttached } from '../../docker/streams/attached.ts'
import { findLiveOn } from '../../project/live.ts'
import { untilSignal } from '../../system/signals.ts'
import { StagecraftError } from '../../util/errors.ts'
import { formatMinute, quote } from '../../util/format.ts'
import { namesHint } from '../../util/nearest.ts'
import { command, environmentArgument } from '../command.ts'
import { openSettingsOf } from './release-arguments.ts'

export default command({
  name: 'job run',
  description: 'Run a job that has a schedule now, as its schedule would, and show what it prints. Ctrl-C ends it.',
  args: {
    job: { type: 'positional', required: true, description: 'a service of the live release with a schedule' },
    env: environmentArgument,
  },
  examples: [
    ['stagecraft job run backup --env prod', 'a backup before a risky change'],
    ['stagecraft status --env prod', 'when do the jobs run, and how did they end?'],
  ],
  exits: [
    [0, 'the job ended with 0; any other exit code is passed on'],
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment or job; no release is live; its container is gone'],
    [5, 'docker cannot list what exists'],
    [7, 'it is running already'],
    [8, 'a host or the engine cannot be reached'],
    [9, 'the state cannot be read'],
  ],
  async run({ job, env }, context) {
    const settings = await openSettingsOf({ env }, context, {
      onSwarm:
        'No job has a schedule there. To run one of the Compose file again: docker service update --force <stack>_<job>',
    })
    const live = findLiveOn(settings)
    const part = live.find(({ release }) => release.bundle.schedules?.[job])
    const names = live.flatMap(({ release }) => Object.keys(release.bundle.schedules ?? {}))
    const version = live[0]?.release.bundle.version ?? 'the live release'
    if (part === undefined)
      throw new StagecraftError('not-found', `Cannot find job ${quote(job)} in ${version}`, {
        hint:
          names.length === 0
            ? 'No service has a schedule. To run any service once: stagecraft run <service>'
            : namesHint('Jobs with a schedule', job, names.toSorted()),
      })
    const { project, schedules } = part.release.bundle
    const docker = openDocker(part.host.exec, (text) => text)
    const all = await listContainers(docker, project)
    const own = all.filter(({ service }) => service === job)
    const running = own.find(isUp)
    if (running)
      throw new StagecraftError(
        'locked',
        `Cannot run ${job}: it is running, since ${formatMinute(running.startedAt)}`,
        {
          hint: `There is never more than one run. What it prints: stagecraft logs ${job} -f`,
        },
      )
    const container = own.find(({ id }) => id === schedules?.[job]?.container)
    if (container === undefined)
      throw new StagecraftError('not-found', `Cannot run ${job}: its container is gone`, {
        hint: 'The next deploy recreates it: stagecraft deploy',
      })
    const signal = untilSignal()
    const code = await part.host.attach(startAttached(container.id))
    if (!signal.aborted) return code
    await stop(docker, [container], { what: `stop ${job}` }) // docker may only have detached itself
    return 128 + Number(signal.reason)
  },
})
