import type { SwarmPlace } from '../../docker/swarm/stack.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { StorePlace } from './place.ts'

/** @returns the error (8) for an engine that cannot be asked about a Swarm; undefined: it can */
export function notAManager(
  environment: string,
  { isManager, hasLeader, error }: SwarmPlace,
): StagecraftError | undefined {
  if (isManager && hasLeader) return undefined
  return new StagecraftError('unreachable', `Cannot use the Swarm of ${environment}: ${whyNoManager({ isManager })}`, {
    detail: error === '' ? undefined : error,
    hint: GET_A_MANAGER,
  })
}

/** @returns why an engine that manages no Swarm with a leader does not */
export function whyNoManager({ isManager }: Pick<SwarmPlace, 'isManager'>): string {
  return isManager ? 'it has no leader' : 'the engine is not a manager of one'
}

export const GET_A_MANAGER =
  'On a manager: docker node ls. To make a Swarm: docker swarm init. Or name managers in `hosts:`.'

/** @returns the error (9) for a lock that another run has taken */
export function leaseTaken({ environment }: StorePlace): StagecraftError {
  return new StagecraftError(
    'state',
    `Cannot continue with ${environment}: its lock in the Swarm was lost, and another run may have it`,
    { hint: 'Nothing more was changed. See: stagecraft status' },
  )
}

/** @returns the error (9) for a lock that could not be renewed. @param patience milliseconds */
export function leaseInDoubt({ environment }: StorePlace, patience: number, detail: string): StagecraftError {
  const message = `Cannot continue with ${environment}: its lock in the Swarm could not be renewed for ${Math.round(patience / 1000)} s`
  return new StagecraftError('state', message, {
    detail: detail === '' ? undefined : detail,
    hint: 'Another run may have it now, so nothing more was changed. Once a manager answers: stagecraft status.',
  })
}

/** @returns the error (9) for a state that somebody else has written since it was read */
export function changedMeanwhile({ environment }: StorePlace): StagecraftError {
  return new StagecraftError(
    'state',
    `Cannot write the releases of ${environment} in the Swarm: somebody else has written them meanwhile`,
    { hint: 'Run the command again.' },
  )
}

/** @param config that is not what was written, or is gone @param file in it; absent: the config itself */
export function unusableConfig(place: StorePlace, config: string, why: string, file?: string): StagecraftError {
  const of = file === undefined ? '' : ` (${file})`
  return new StagecraftError(
    'state',
    `Cannot read the releases of ${place.environment} in the Swarm: config ${config}${of} ${why}`,
    {
      hint: `Something other than Stagecraft has changed it. Look at all of them: docker config ls --filter label=stagecraft.store=${place.store}`,
    },
  )
}
