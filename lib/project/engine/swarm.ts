import type { ComposeModel } from '../../compose/model.ts'
import { bindsAsConfigs } from '../../compose/stack/files.ts'
import { judgeForSwarm } from '../../compose/stack/fit.ts'
import type { HostAddress } from '../../config/host-address.ts'
import type { Config, Environment } from '../../config/parse.ts'
import type { Host } from '../../hosts/host.ts'
import type { SwarmAddress } from '../../hosts/swarm/host.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { Problems } from '../../util/problems.ts'

/** How an environment on a Swarm is opened. */
export interface SwarmAccess {
  readonly stateOverride: string | undefined
  /** reads its releases from the first of the hosts that is a manager; without hosts, from the engine that docker uses */
  readonly openSwarm?:
    | ((place: SwarmAddress, hosts: readonly HostAddress[], timeout: number) => Promise<Host>)
    | undefined
  /** the command can act on a Swarm; default: it is refused there; a text: with this hint */
  readonly onSwarm?: boolean | string | undefined
  /** only the state is needed */
  readonly firstOnly?: boolean | undefined
}

/**
 * The Swarm itself keeps the releases: any manager will do (spec/core/swarm.md).
 * @param timeout milliseconds for each connection
 * @throws usage (2) for a command that a Swarm does not have, config (3) for a project without a name, unreachable (8), state (9)
 */
export async function openSwarm(
  { project }: Config,
  { name, hosts = [] }: Environment,
  { stateOverride, openSwarm: open, onSwarm, firstOnly }: SwarmAccess,
  timeout: number,
): Promise<Host> {
  if (onSwarm !== true && !firstOnly) throw notOnSwarm(name, onSwarm || undefined)
  if (stateOverride !== undefined)
    throw new StagecraftError('usage', `Cannot use another state file for ${name}: its state is in the Swarm`, {
      hint: 'Leave --state (STAGECRAFT_STATE_FILE) out.',
    })
  if (open === undefined) throw new StagecraftError('bug', 'Cannot connect to a Swarm from here')
  return open({ project: project.name, environment: name }, hosts, timeout)
}

const ELSEWHERE = 'What works there: spec/core/swarm.md. For the rest: docker service, on a manager.'

function notOnSwarm(environment: string, hint = ELSEWHERE): StagecraftError {
  return new StagecraftError(
    'usage',
    `Cannot do that in ${environment}: it is on a Swarm, where this command does not work yet`,
    { hint },
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
