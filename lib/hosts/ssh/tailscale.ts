import type { HostAddress } from '../../config/host-address.ts'
import type { Exec } from '../../system/exec.ts'
import { StagecraftError } from '../../util/errors.ts'

/** The part of `tailscale status --json` that an address needs (ipn/ipnstate, Status and PeerStatus). */
interface Status {
  readonly BackendState?: string
  readonly Self?: Peer
  readonly Peer?: Readonly<Record<string, Peer>> | null
}

interface Peer {
  readonly HostName?: string
  /** `web-1.tail1234.ts.net.` */
  readonly DNSName?: string
  readonly TailscaleIPs?: readonly string[] | null
  readonly Online?: boolean
}

/**
 * @returns ssh's options for a host with a `tailscale:` name: its Tailscale address, and the name for the host key, since
 * addresses change
 * @throws unreachable (8): Tailscale is missing or not up, does not know the host, or says that it is offline
 */
export async function resolveTailscale(exec: Exec, host: HostAddress): Promise<string[]> {
  const fail = (reason: string, hint: string, detail?: string) =>
    new StagecraftError('unreachable', `Cannot connect to ${host.written}: ${reason}`, { hint, detail })
  const { code, stdout, stderr } = await exec(['tailscale', 'status', '--json'], { timeout: 10_000 })
  const status = parse(stdout)
  if (status === undefined)
    throw fail(
      'tailscale does not answer',
      'Start it: sudo systemctl start tailscaled',
      stderr.trim() || `exit ${code}`,
    )
  if (status.BackendState !== 'Running')
    throw fail(`tailscale is not up (${status.BackendState ?? 'unknown'})`, 'Bring it up: tailscale up')
  const peers = Object.values(status.Peer ?? {})
  const peer = [...(status.Self ? [status.Self] : []), ...peers].find((one) => isCalled(one, host.name))
  if (peer === undefined) throw fail('tailscale knows no such machine', `It knows: ${namesOf(peers)}.`)
  const [address] = peer.TailscaleIPs ?? []
  if (address === undefined || peer.Online === false)
    throw fail('it is offline, says tailscale', 'Start the machine, and tailscale there (tailscale up).')
  return ['-o', `HostName=${address}`, '-o', `HostKeyAlias=${host.name}`]
}

function parse(text: string): Status | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

/** Compares the whole name in the tailnet, or its first part. HostName is the machine's own name for itself, and not unique. */
function isCalled({ DNSName = '', HostName = '' }: Peer, name: string): boolean {
  const whole = DNSName.replace(/\.$/, '').toLowerCase()
  const wanted = name.toLowerCase()
  return whole === wanted || whole.split('.')[0] === wanted || (whole === '' && HostName.toLowerCase() === wanted)
}

function namesOf(peers: readonly Peer[]): string {
  const names = peers.map(({ DNSName = '', HostName = '' }) => DNSName.split('.')[0] || HostName)
  return names.toSorted().join(', ') || 'none'
}
