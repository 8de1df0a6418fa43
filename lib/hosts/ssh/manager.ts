import type { HostAddress } from '../../config/host-address.ts'
import { engineIsGone } from '../../docker/engine/answers.ts'
import type { SwarmPlace } from '../../docker/swarm/stack.ts'
import { attach } from '../../system/attach.ts'
import type { Exec } from '../../system/exec.ts'
import { errorText, StagecraftError } from '../../util/errors.ts'
import type { Host } from '../host.ts'
import type { ConnectOptions } from './connection.ts'
import { openNodes } from './nodes.ts'
import { type Reached, reach } from './reach.ts'

/** A manager of a Swarm: all commands go there, and nothing is kept there. */
type Manager = Pick<Host, 'exec' | 'local' | 'attach' | 'close'> & Required<Pick<Host, 'nodes'>>

/**
 * Connects to the first of the hosts that answers and manages its Swarm. If it is lost, or its engine, the next command goes to
 * another one.
 * @throws unreachable (8) with what is wrong with each of them
 */
export async function openManager(hosts: readonly HostAddress[], options: ConnectOptions): Promise<Manager> {
  const { exec } = options
  let now = openFirst(hosts, options)
  let nodes: ReturnType<typeof openNodes> | undefined
  let silent: Reached | undefined // its engine does not answer, though the connection is there
  await now
  /** Commands that begin at the same time wait for the same connection. */
  const current = async (): Promise<Reached> => {
    const known = now
    const reached = await known
    if (!reached.connection.lost.aborted && reached !== silent) return reached
    if (now !== known) return current() // another command has noticed it first
    const at = hosts.indexOf(reached.address)
    const next = openFirst([...hosts.slice(at + 1), ...hosts.slice(0, at + 1)], options)
    now = next.catch(() => reached) // the command after this one tries again
    await reached.connection.close()
    return next
  }
  return {
    local: exec,
    async exec(argv, how = {}) {
      if (argv[0] !== 'docker') return exec(argv, how)
      const reached = await current()
      const result = await exec(argv, { ...how, env: { ...how.env, ...reached.env } })
      if (result.code !== 0 && engineIsGone(result.stderr)) silent = reached
      return result
    },
    attach: async ({ argv, env: own }) => attach(argv, { ...own, ...(await current()).env }),
    nodes() {
      nodes ??= openNodes(hosts, options)
      return nodes
    },
    close: async () => {
      await (await nodes)?.close()
      await (await now).connection.close()
    },
  }
}

/** @returns the engine that docker uses, as a manager */
export function thisEngine(exec: Exec): Pick<Manager, 'exec' | 'local' | 'attach' | 'close'> {
  return { exec, local: exec, attach: ({ argv, env }) => attach(argv, env), close: async () => {} }
}

async function openFirst(hosts: readonly HostAddress[], options: ConnectOptions): Promise<Reached> {
  const reasons: string[] = []
  for (const host of hosts)
    try {
      return await openOne(host, options)
    } catch (error) {
      if (!(error instanceof StagecraftError) || error.kind !== 'unreachable') throw error
      reasons.push(errorText(error))
    }
  throw new StagecraftError('unreachable', 'Cannot use the Swarm: none of its hosts is a manager that answers', {
    detail: reasons.join('\n'),
    hint: 'Name managers in `hosts:` (docker node ls). Without a majority of its managers a Swarm accepts no change.',
  })
}

async function openOne(address: HostAddress, options: ConnectOptions): Promise<Reached> {
  const reached = await reach(address, options)
  if (reached.swarm.isManager && reached.swarm.hasLeader) return reached
  await reached.connection.close()
  throw noManager(address, reached.swarm)
}

function noManager({ written }: HostAddress, { isManager, error }: SwarmPlace): StagecraftError {
  const why = isManager ? 'its Swarm has no leader' : error || 'it is not a manager of a Swarm'
  return new StagecraftError('unreachable', `Cannot use ${written}: ${why}`)
}
