import { type HostAddress, sshArguments } from '../../config/host-address.ts'
import type { Exec } from '../../system/exec.ts'
import { resolveTailscale } from './tailscale.ts'

/**
 * @returns the name or address to which ssh connects for a host, by the ssh configuration; undefined: it goes through another one
 * @throws unreachable (8) if Tailscale does not know the host
 */
export async function sshAddress(exec: Exec, host: HostAddress): Promise<string | undefined> {
  const found = host.tailscale ? await resolveTailscale(exec, host) : []
  const { stdout } = await exec(['ssh', '-G', ...found, ...sshArguments(host)], { timeout: 10_000 })
  const setting = (name: string) => new RegExp(`^${name} (.+)$`, 'm').exec(stdout)?.[1]
  const hops = [setting('proxyjump'), setting('proxycommand')].filter((way) => way !== undefined && way !== 'none')
  return hops.length > 0 ? undefined : setting('hostname')
}
