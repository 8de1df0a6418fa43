import { expect, test } from 'bun:test'
import { HostAddress } from '../../lib/config/host-address.ts'
import { lostConnection, noConnection, unusableHost } from '../../lib/hosts/ssh/errors.ts'
import type { StagecraftError } from '../../lib/util/errors.ts'
import { expectGolden } from '../support/golden.ts'

const HOST = new HostAddress('deploy@web-1:2222', 'web-1', 'deploy', 2222)

// What OpenSSH 9.2 and 10.0 print.
test.each([
  ['ssh: Could not resolve hostname web-1: Name or service not known\r\n', 'its name cannot be resolved'],
  ['ssh: connect to host web-1 port 2222: Connection refused\r\n', 'it refuses the connection'],
  ['ssh: connect to host web-1 port 2222: Connection timed out\r\n', 'it does not answer'],
  ['ssh: connect to host web-1 port 2222: No route to host\r\n', 'it does not answer'],
  ['Connection timed out during banner exchange\r\n', 'it does not answer'],
  [
    'No ED25519 host key is known for web-1 and you have requested strict checking.\r\nHost key verification failed.\r\n',
    'its host key is not known here',
  ],
  [
    '@@@@@@@@@@@\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n@@@@@@@@@@@\r\nHost key verification failed.\r\n',
    'its host key is not the one that is known',
  ],
  ['deploy@web-1: Permission denied (publickey,password).\r\n', 'it does not let you in'],
  ['Received disconnect from 192.0.2.1 port 22:2: Too many authentication failures\r\n', 'it does not let you in'],
  ['kex_exchange_identification: Connection closed by remote host\r\n', 'ssh failed'],
] as const)('noConnection() tells reasons apart: %p', (said, reason) => {
  const error = noConnection(HOST, said)
  expect([error.kind, error.message]).toEqual(['unreachable', `Cannot connect to deploy@web-1:2222: ${reason}`])
  expect(error.hint).not.toBe('')
  expect(error.detail).not.toMatch(/\r|@@/)
})

test('noConnection() says how to forget a key that has changed, and to ask first', () => {
  const { hint } = noConnection(HOST, 'WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!')
  expect(hint).toContain("ssh-keygen -R '[web-1]:2222'")
  expect(hint).toContain('somebody may be intercepting the connection')
})

const WEB = new HostAddress('web-1')

test('every reason, as the spec shows it', () => {
  const said = [
    'Could not resolve hostname',
    'Connection refused',
    'Connection timed out',
    'Host key verification failed',
  ]
  const all = [...said, 'REMOTE HOST IDENTIFICATION HAS CHANGED', 'Permission denied (publickey)']
  expectGolden('core/hosts.md', 'unreachable', all.map((text) => noConnection(WEB, text).message).join('\n'))
  const usable = { socket: '/var/run/docker.sock', mayUse: true, user: 'ana', lacks: [] }
  const errors = [{ socket: undefined }, { mayUse: false }, { lacks: ['flock'] }].map((lacking) =>
    unusableHost(WEB, { ...usable, ...lacking }),
  )
  expectGolden('core/hosts.md', 'unusable', errors.map(shown).join('\n'))
  expectGolden('core/hosts.md', 'lost', shown(lostConnection(WEB)))
  expect(unusableHost(WEB, usable)).toBeUndefined()
})

function shown(error: StagecraftError | undefined): string {
  return `${error?.message}\n  hint: ${error?.hint}`
}
