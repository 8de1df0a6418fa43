import { describe, expect, test } from 'bun:test'
import { parseHostAddress, sshArguments } from '../../lib/config/host-address.ts'

describe('parseHostName()', () => {
  test.each([
    ['web-1', { name: 'web-1' }],
    ['deploy@web-1.example.com', { user: 'deploy', name: 'web-1.example.com' }],
    ['web-1:2222', { name: 'web-1', port: 2222 }],
    ['ssh://deploy@web-1:22', { user: 'deploy', name: 'web-1', port: 22 }],
    ['[2001:db8::1]:2222', { name: '2001:db8::1', port: 2222 }],
    ['root@192.0.2.7', { user: 'root', name: '192.0.2.7' }],
    ['tailscale:ana@web-1', { user: 'ana', name: 'web-1', tailscale: true }],
  ] as const)('%s', (written, parts) => {
    expect({ ...parseHostAddress(written) }).toEqual({ written, ...parts })
  })

  test.each([
    '',
    '-oProxyCommand=touch x',
    'ssh://-oProxyCommand=touch',
    'deploy@-web',
    '-l@web',
    'web 1',
    'web;reboot',
    '$(reboot)',
    'web:0',
    'web:65536',
    'web:ssh',
    'a@b@c',
    'http://web',
    'ssh://web/path',
    'web\n',
  ])('%p is none', (text) => {
    expect(parseHostAddress(text)).toBeUndefined()
  })
})

test('in JSON it is what was written', () => {
  expect(JSON.stringify([parseHostAddress('ssh://deploy@web-1:22')])).toBe('["ssh://deploy@web-1:22"]')
})

test('sshArguments() are what a person types', () => {
  const typed = (text: string) => {
    const host = parseHostAddress(text)
    return host && sshArguments(host).join(' ')
  }
  expect(['web', 'ssh://deploy@web:22', '[::1]:2222'].map(typed)).toEqual(['web', '-p 22 deploy@web', '-p 2222 ::1'])
})
