import type { Settings } from '../../project/settings.ts'
import { refuseOtherPlan, requireToken } from '../../release/approval/token.ts'
import { deploy, planDeploy } from '../../release/deploy.ts'
import { withEnvironmentLocked } from '../../release/locked.ts'
import { StagecraftError } from '../../util/errors.ts'
import { command } from '../command.ts'
import { findExisting, imageArgs, refuseUnfit } from './image-arguments.ts'
import { printPlans } from './plan-output.ts'
import { noHooksArgument, openRelease, openSession, parseWait, releaseArgs, waitArgument } from './release-arguments.ts'

export default command({
  name: 'deploy',
  description:
    'Release the application in this folder, in six phases. If a phase fails, the previous release stays live.',
  args: {
    ...releaseArgs,
    wait: waitArgument,
    plan: {
      type: 'string',
      valueHint: 'token',
      description: 'only if nothing has changed since that plan (stagecraft plan --token)',
    },
    ...imageArgs,
    'no-hooks': noHooksArgument,
    'dry-run': { type: 'boolean', description: 'show the plan, and write nothing' },
  },
  examples: [
    ['stagecraft deploy', 'deploy to the only environment; the version is the git commit'],
    ['stagecraft deploy --env prod --version v1.4.2', 'deploy to prod, as v1.4.2'],
    ['stagecraft deploy --wait 10m', 'wait up to ten minutes for a deploy that is under way'],
    ['stagecraft deploy --env prod --from staging', 'what is live in staging, with the settings of prod'],
    ['stagecraft deploy --dry-run', 'what would it do?'],
  ],
  exits: [
    [3, 'stagecraft.yml, the Compose file or an env file is invalid; nothing was changed'],
    [4, 'no such environment; with --plan: something has changed since; without building: an image cannot be found'],
    [5, 'a phase failed; the previous release is still live'],
    [6, 'a phase failed, and the previous release could not be restored'],
    [7, 'another run is under way, or somebody holds the environment (stagecraft lock status)'],
    [8, 'a host, the engine or a registry cannot be reached; a database cannot be reached'],
    [9, 'the state cannot be read or written'],
    [10, 'a phase after the switch failed; the new release is live'],
  ],
  async run(args, context) {
    const wait = parseWait(args.wait)
    if (args.plan !== undefined) requireToken(args.plan)
    const opened = await openRelease(args, context)
    refuseUnfit(args, opened.project.environment.name, context)
    const session = openSession(context, opened.project)
    if (args['dry-run']) {
      const wanted = await findExisting(args, opened, session, context)
      const plannings = await planDeploy(wanted.project, wanted.version, session, wanted)
      await printPlans(plannings, wanted, session, context, { token: false })
      return 0
    }
    const turn = { command: 'deploy', wait }
    const release = await withEnvironmentLocked(opened.project, turn, session, async (locked) => {
      // After a wait the files are read again: they may have changed.
      const now = locked.held.waited ? await openRelease(args, context, opened.project.hosts) : opened
      refuseOtherHosts(opened.project, now.project)
      const wanted = await findExisting(args, now, locked, context)
      if (args.plan !== undefined) await refuseOtherPlan(args.plan, wanted, locked)
      return deploy(wanted.project, wanted.version, locked, wanted.existing)
    })
    context.report.result('deployed', { release }, () => [
      `${release.version} is live in ${release.environment} (${release.id})`,
    ])
    return 0
  },
})

/** Only the hosts that stagecraft.yml named when the run began are locked. @throws config (3) if it names others now */
function refuseOtherHosts({ hosts }: Settings, now: Settings): void {
  if (now.hosts.length === hosts.length && now.hosts.every((host, at) => host.key === hosts[at]?.key)) return
  throw new StagecraftError(
    'config',
    `Cannot deploy to ${now.environment.name}: its hosts were changed while this waited`,
    {
      hint: 'Nothing has been changed. Deploy again.',
    },
  )
}
