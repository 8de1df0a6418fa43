import { describe, expect, test } from 'bun:test'
import { parseHostAddress } from '../../lib/config/host-address.ts'
import { resolveTailscale } from '../../lib/hosts/ssh/tailscale.ts'
import type { Exec } from '../../lib/system/exec.ts'
import { StagecraftError } from '../../lib/util/errors.ts'

// The program is not available here: its output is taken from its documentation and source (ipn/ipnstate/ipnstate.go).
const peer = (name: string, address: string, more: object = {}) => ({
  HostName: name,
  DNSName: `${name}.tail1234.ts.net.`,
  TailscaleIPs: [address, 'fd7a:115c:a1e0::1'],
  Online: true,
  ...more,
})
const STATUS = {
  Version: '1.76.1',
  BackendState: 'Running',
  Self: peer('laptop', '100.64.0.1'),
  MagicDNSSuffix: 'tail1234.ts.net',
  Peer: {
    'nodekey:1': peer('web-1', '100.64.0.7'),
    'nodekey:2': peer('web-2', '100.64.0.8', { Online: false }),
    'nodekey:3': peer('web-1-1', '100.64.0.9', { HostName: 'web-1' }),
  },
}

async function resolved(written: string, status: object | string): Promise<string> {
  const stdout = typeof status === 'string' ? status : JSON.stringify(status)
  const asked: string[] = []
  const exec: Exec = async (argv) => {
    asked.push(argv.join(' '))
    return {
      argv,
      code: stdout === '' ? 1 : 0,
      stdout,
      stderr: stdout === '' ? 'failed to connect to local tailscaled' : '',
      timedOut: false,
    }
  }
  const host = parseHostAddress(written)
  if (host === undefined) throw new Error(`${written} is none`)
  try {
    const options = await resolveTailscale(exec, host)
    expect(asked).toEqual(['tailscale status --json'])
    return options.join(' ')
  } catch (error) {
    if (!(error instanceof StagecraftError)) throw error
    expect([error.kind, error.hint === undefined]).toEqual(['unreachable', false])
    return error.message
  }
}

describe('resolveTailscale()', () => {
  test('finds a machine by its name in the tailnet', async () => {
    const found = '-o HostName=100.64.0.7 -o HostKeyAlias='
    expect(await resolved('tailscale:deploy@web-1', STATUS)).toBe(`${found}web-1`)
    expect(await resolved('tailscale:web-1.tail1234.ts.net', STATUS)).toBe(`${found}web-1.tail1234.ts.net`)
    expect(await resolved('tailscale:laptop', STATUS)).toContain('HostName=100.64.0.1 ')
  })

  test('says what is wrong', async () => {
    const said = (reason: string) => `Cannot connect to tailscale:web-2: ${reason}`
    expect(await resolved('tailscale:web-2', '')).toBe(said('tailscale does not answer'))
    expect(await resolved('tailscale:web-2', { BackendState: 'NeedsLogin', Peer: null })).toBe(
      said('tailscale is not up (NeedsLogin)'),
    )
    expect(await resolved('tailscale:web-2', { ...STATUS, Peer: null })).toBe(said('tailscale knows no such machine'))
    expect(await resolved('tailscale:web-2', STATUS)).toBe(said('it is offline, says tailscale'))
  })
})
