import type { HostAddress } from '../../config/host-address.ts'
import { attach } from '../../system/attach.ts'
import { StagecraftError } from '../../util/errors.ts'
import { mapConcurrently } from '../../util/map-concurrently.ts'
import type { NodeHosts } from '../host.ts'
import type { ConnectOptions } from './connection.ts'
import { type Reached, reach } from './reach.ts'

/**
 * Connects to hosts of a Swarm, managers or not, ten at a time.
 * @returns those that can be used, and why the others cannot
 */
export async function openNodes(
  hosts: readonly HostAddress[],
  options: ConnectOptions,
): Promise<NodeHosts & { close(): Promise<void> }> {
  const opened = await mapConcurrently(hosts, (host) =>
    reach(host, options).catch((error: unknown) => {
      if (error instanceof StagecraftError) return error
      throw error
    }),
  )
  const there = opened.filter((one): one is Reached => !(one instanceof StagecraftError))
  return {
    reached: there.map(({ address, exec, env, swarm }) => ({
      ...{ name: address.written, node: swarm.node, exec },
      attach: ({ argv, env: own }) => attach(argv, { ...own, ...env }),
    })),
    failed: opened.filter((one) => one instanceof StagecraftError),
    close: async () => void (await Promise.all(there.map(({ connection }) => connection.close()))),
  }
}
