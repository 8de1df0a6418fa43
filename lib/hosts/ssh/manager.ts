import type { HostAddress } from '../../config/host-address.ts'
import { openDocker } from '../../docker/client.ts'
import { engineIsGone } from '../../docker/engine/answers.ts'
import { askSwarm, type SwarmPlace } from '../../docker/swarm/stack.ts'
import { attach } from '../../system/attach.ts'
import type { Exec } from '../../system/exec.ts'
import { errorText, StagecraftError } from '../../util/errors.ts'
import type { Host } from '../host.ts'
import { LOOK } from '../scripts/state.ts'
import { askState } from '../state/exchange.ts'
import { type Connection, type ConnectOptions, connect } from './connection.ts'
import { askEngine, endpoint, readLook } from './host.ts'

/** A manager of a Swarm: all commands go there, and nothing is kept there. */
export type Manager = Pick<Host, 'exec' | 'attach' | 'close'>

/**
 * Connects to the first of the hosts that answers and manages its Swarm. If it is lost, or its engine, the next command goes to
 * another one.
 * @throws unreachable (8) with what is wrong with each of them
 */
export async function openManager(hosts: readonly HostAddress[], options: ConnectOptions): Promise<Manager> {
  const { exec } = options
  let now = openFirst(hosts, options)
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
    async exec(argv, how = {}) {
      if (argv[0] !== 'docker') return exec(argv, how)
      const reached = await current()
      const result = await exec(argv, { ...how, env: { ...how.env, ...reached.env } })
      if (result.code !== 0 && engineIsGone(result.stderr)) silent = reached
      return result
    },
    attach: async ({ argv, env: own }) => attach(argv, { ...own, ...(await current()).env }),
    close: async () => (await now).connection.close(),
  }
}

/** A manager that has answered. */
interface Reached {
  readonly address: HostAddress
  readonly connection: Connection
  /** has docker use its engine */
  readonly env: Readonly<Record<string, string>>
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
  const connection = await connect(address, options)
  const { exec } = options
  try {
    const looked = readLook(address, await askState(connection, LOOK, ['', 'swarm', 'swarm']))
    const { socket, version } = await askEngine(exec, connection, looked)
    const env = { ...endpoint(socket), DOCKER_API_VERSION: version }
    const there: Exec = (argv, how = {}) => exec(argv, { ...how, env: { ...how.env, ...env } })
    const swarm = await askSwarm(openDocker(there, (text) => text))
    if (!swarm.isManager || !swarm.hasLeader) throw noManager(address, swarm)
    return { address, connection, env }
  } catch (error) {
    await connection.close()
    throw error
  }
}

function noManager({ written }: HostAddress, { isManager, error }: SwarmPlace): StagecraftError {
  const why = isManager ? 'its Swarm has no leader' : error || 'it is not a manager of a Swarm'
  return new StagecraftError('unreachable', `Cannot use ${written}: ${why}`)
}
