import { join } from 'node:path'
import type { ComposeModel } from '../../compose/model.ts'
import { bindsAsConfigs } from '../../compose/stack/files.ts'
import { judgeForSwarm } from '../../compose/stack/fit.ts'
import type { HostAddress } from '../../config/host-address.ts'
import type { Config, Environment } from '../../config/parse.ts'
import { type Host, localHost } from '../../hosts/host.ts'
import { stateFile, stateFileIn } from '../../record/releases.ts'
import { exec as execHere } from '../../system/exec.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { Problems } from '../../util/problems.ts'

/** How the hosts of a Swarm are opened. */
export interface SwarmAccess {
  readonly stateOverride: string | undefined
  /** connects to the first of the hosts that is a manager */
  readonly openManager?: ((hosts: readonly HostAddress[], timeout: number) => Promise<Manager>) | undefined
  /** the command can act on a Swarm */
  readonly onSwarm?: boolean | undefined
  /** only the state is needed */
  readonly firstOnly?: boolean | undefined
}

type Manager = Pick<Host, 'exec' | 'local' | 'attach'> & Required<Pick<Host, 'nodes'>>

/**
 * Any manager of a Swarm will do, so the releases are kept on this machine (spec/core/swarm.md).
 * @param timeout milliseconds for each connection
 * @throws usage (2) for a command that a Swarm does not have, unreachable (8)
 */
export async function openSwarm(
  directory: string,
  { project }: Config,
  { name, hosts = [], root }: Environment,
  { stateOverride, openManager, onSwarm, firstOnly }: SwarmAccess,
  timeout: number,
): Promise<Host> {
  if (!onSwarm && !firstOnly) throw notOnSwarm(name)
  if (root !== undefined && project.name === undefined)
    throw new StagecraftError('config', `Cannot use the root of ${name}: the project has no name`, {
      hint: 'Add `project: {name: …}` to stagecraft.yml: its releases are kept under that name.',
    })
  const isInRoot = root !== undefined && stateOverride === undefined
  const file = isInRoot ? stateFileIn(join(root, project.name ?? '', name)) : stateFile(directory, stateOverride)
  const here: Host = { ...localHost(execHere, file), marks: 'configs' }
  if (hosts.length === 0 || firstOnly) return here
  if (openManager === undefined) throw new StagecraftError('bug', 'Cannot connect to a Swarm from here')
  const { exec, local, attach, nodes } = await openManager(hosts, timeout)
  return { ...here, exec, local, attach, nodes }
}

function notOnSwarm(environment: string): StagecraftError {
  return new StagecraftError(
    'usage',
    `Cannot do that in ${environment}: it is on a Swarm, where this command does not work yet`,
    {
      hint: 'There are deploy, plan, rollback, status, logs, migrate, down, releases and lock. For the rest: docker service, on a manager.',
    },
  )
}

/** @returns the model with configs in place of mounted files, which the nodes do not have. @param problems collects what Swarm cannot do */
export function asSwarm(
  model: ComposeModel,
  directory: string,
  problems: Problems,
  warn: (message: string) => void,
): ComposeModel {
  const fit = bindsAsConfigs(model, directory, problems)
  for (const message of judgeForSwarm(fit, problems)) warn(message)
  return fit
}
