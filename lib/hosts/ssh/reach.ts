import type { HostAddress } from '../../config/host-address.ts'
import { openDocker } from '../../docker/client.ts'
import { askSwarm, type SwarmPlace } from '../../docker/swarm/stack.ts'
import type { Exec } from '../../system/exec.ts'
import { LOOK } from '../scripts/state.ts'
import { askState } from '../state/exchange.ts'
import { type Connection, type ConnectOptions, connect } from './connection.ts'
import { askEngine, endpoint, readLook } from './host.ts'

/** A host whose engine has answered. */
export interface Reached {
  readonly address: HostAddress
  readonly connection: Connection
  /** has docker use its engine */
  readonly env: Readonly<Record<string, string>>
  /** runs a program of this machine; docker uses its engine */
  readonly exec: Exec
  /** what it is in a Swarm */
  readonly swarm: SwarmPlace
}

/** Connects to a host, and asks its engine about its Swarm. @throws unreachable (8), failed (5) */
export async function reach(address: HostAddress, options: ConnectOptions): Promise<Reached> {
  const connection = await connect(address, options)
  const { exec } = options
  try {
    const looked = readLook(address, await askState(connection, LOOK, ['', 'swarm', 'swarm']))
    const { socket, version } = await askEngine(exec, connection, looked)
    const env = { ...endpoint(socket), DOCKER_API_VERSION: version }
    const there: Exec = (argv, how = {}) => exec(argv, { ...how, env: { ...how.env, ...env } })
    const swarm = await askSwarm(openDocker(there, (text) => text))
    return { address, connection, env, exec: there, swarm }
  } catch (error) {
    await connection.close()
    throw error
  }
}
