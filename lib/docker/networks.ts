import { type Command, type Docker, verb } from './client.ts'

/** The engine's words (moby libnetwork/error.go): the CLI has no exit code for a missing network. */
export const NO_NETWORK = /network .*not found|no such network/i
const CONNECTED = /already exists in network/i

/**
 * @param patient it has no time limit while the engine answers
 * @returns the names of networks that have a label, `name` or `name=value`. @throws failed (5), unreachable (8)
 */
export async function listNetworks(docker: Docker, label: string, { patient = false } = {}): Promise<string[]> {
  const flags = [
    ['--filter', `label=${label}`],
    ['--format', '{{.Name}}'],
  ]
  const args = ['network', 'ls', ...(patient ? flags.toReversed() : flags).flat()]
  const list = await docker.run('list networks', args, { readOnly: !patient })
  return list.stdout.split('\n').filter(Boolean)
}

/** Removes networks that have a label; those that the engine refuses to remove stay. */
export async function removeNetworks(docker: Docker, label: string): Promise<void> {
  const list = await docker.try(['network', 'ls', '-q', '--filter', `label=${label}`])
  for (const id of list.stdout.split('\n').filter(Boolean)) await docker.try(['network', 'rm', id])
}

/** @returns whether the engine has a network. @throws failed (5), unreachable (8) */
export async function hasNetwork(docker: Docker, network: string): Promise<boolean> {
  return (await inspectNetwork(docker, network, undefined, { readOnly: true })) !== undefined
}

/** @returns the subnets of a network; undefined if there is no such network. @throws failed (5), unreachable (8) */
export function subnetsOf(docker: Docker, network: string): Promise<string[] | undefined> {
  const format = '{{range .IPAM.Config}}{{.Subnet}} {{end}}'
  return inspectNetwork(docker, network, format, { readOnly: true })
}

/** @returns ids of the running containers on a network; undefined if there is no such network. @throws failed (5), unreachable (8) */
export function endpointsOf(docker: Docker, network: string): Promise<string[] | undefined> {
  return inspectNetwork(docker, network, '{{range $id, $c := .Containers}}{{$id}} {{end}}')
}

async function inspectNetwork(docker: Docker, network: string, format?: string, options?: Command) {
  const how = { ...options, flags: { format }, what: `inspect network ${network}`, unless: NO_NETWORK }
  const { code, stdout } = await inspect(docker, [network], how)
  return code === 0 ? stdout.trim().split(/\s+/).filter(Boolean) : undefined
}

/** It is no error if they are connected, or if the network is gone and `mayLack`. @throws failed (5), unreachable (8) */
export async function connect(
  docker: Docker,
  [network, container]: readonly [network: string, container: string],
  flags: NonNullable<Command['flags']>,
  { mayLack = false } = {},
): Promise<void> {
  const unless = mayLack ? new RegExp(`${CONNECTED.source}|${NO_NETWORK.source}`, 'i') : CONNECTED
  await attach(docker, [network, container], { flags, what: `connect a container to ${network}`, unless })
}

const inspect = verb(['network', 'inspect'])
const attach = verb(['network', 'connect'])
/** It is no error if it exists. */
export const createNetwork = verb(['network', 'create'], { unless: /already exists/i })
/** It is no error if it is gone. */
export const removeNetwork = verb(['network', 'rm'], { unless: NO_NETWORK })
/** It is no error if it is gone, or in use. */
export const removeUnusedNetwork = verb(['network', 'rm'], {
  unless: new RegExp(`${NO_NETWORK.source}|has active endpoints`, 'i'),
})
export const disconnect = verb(['network', 'disconnect'])
/** It is no error if one of the two is gone, or if they are not connected. */
export const ensureDisconnected = verb(['network', 'disconnect', '--force'], {
  unless: /is not connected|not found|no such/i,
})
