import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { openDocker } from '../../docker/client.ts'
import { askSwarm } from '../../docker/swarm/stack.ts'
import { contentFolder } from '../../record/bundle.ts'
import { stateFileIn } from '../../record/releases.ts'
import type { Exec } from '../../system/exec.ts'
import { makeTempFolder } from '../../system/temp-folder.ts'
import { StagecraftError } from '../../util/errors.ts'
import { CONTENT_IN_SWARM, type Host, localHost } from '../host.ts'
import { notAManager } from './errors.ts'
import { PACE, type Pace } from './lease.ts'
import { lockIn, withSwarmLock } from './lock.ts'
import { swarmPlace } from './place.ts'
import { look, openStore, persist, refresh } from './store.ts'

/** What the releases of an environment are kept under. */
export interface SwarmAddress {
  /** `project.name` */
  readonly project: string | undefined
  readonly environment: string
}

/**
 * Reads the releases of an environment from the Swarm (spec/core/swarm.md). The command works on a copy.
 * @throws config (3) for a project without a name, unreachable (8), failed (5), state (9) if they cannot be read
 */
export async function openSwarmHost(
  { project, environment }: SwarmAddress,
  manager: Pick<Host, 'exec' | 'attach' | 'close'>,
  pace: Pace = PACE,
): Promise<Host> {
  if (project === undefined) {
    await manager.close()
    throw nameless(environment)
  }
  const { exec: execThere } = manager
  const copy = makeTempFolder('copy')
  const clock = { now: () => performance.now(), sleep: (ms: number) => Bun.sleep(ms) }
  const docker = openDocker(execThere, (text) => text)
  const store = openStore(docker, clock, swarmPlace(project, environment), join(copy, 'state'))
  const stateFile = stateFileIn(store.folder)
  const content = contentFolder(stateFile)
  // A model names its content where it is not: each command has a copy of its own.
  const exec: Exec = (argv, options = {}) => {
    const { input } = options
    if (input === undefined) return execThere(argv, options)
    return execThere(argv, {
      ...options,
      input: input.replaceAll(CONTENT, (_, hash: string) => `"${join(content, hash)}"`),
    })
  }
  const end = async () => {
    rmSync(copy, { recursive: true, force: true })
    await manager.close()
  }
  try {
    await refresh(store)
  } catch (error) {
    const swarm = await askSwarm(docker).catch(() => undefined)
    await end()
    throw (swarm && notAManager(environment, swarm)) ?? error
  }
  return {
    ...localHost(execThere, stateFile),
    ...manager,
    exec,
    marks: 'configs',
    kept: store.place.store,
    withLock: (request, world, work) =>
      withSwarmLock(store, { ...request, stateFile }, world, work, { pace, onChange: () => {} }),
    readLock: () => lockIn(store.listing),
    lookAtLock: async () => lockIn(await look(store)),
    persist: () => persist(store),
    refresh: () => refresh(store),
    close: end,
  }
}

const CONTENT = new RegExp(`"${CONTENT_IN_SWARM}/([0-9a-f]{32})"`, 'g')

function nameless(environment: string): StagecraftError {
  return new StagecraftError('config', `Cannot use the Swarm of ${environment}: the project has no name`, {
    hint: 'Add `project: {name: …}` to stagecraft.yml: the Swarm keeps its releases under that name.',
  })
}
