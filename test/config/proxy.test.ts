import { expect, test } from 'bun:test'
import { parseConfig } from '../../lib/config/parse.ts'
import { problemsIn } from '../support/failure.ts'

const file = (proxy: string) => `environments: {prod: {proxy: ${proxy}}}`

const problems = (proxy: string) => problemsIn(file(proxy))

test('`acme` of the proxy is read as written', () => {
  const acme =
    '{ca: "https://ca.test/dir", ca_root: ca.pem, email: o+x@a-b.test, eab: {key_id: "k:1", hmac_key_env: EAB}}'
  expect(parseConfig(file(`{image: "caddy:2", acme: ${acme}}`)).environments['prod']?.proxy).toEqual({
    image: 'caddy:2',
    acme: {
      ca: 'https://ca.test/dir',
      ca_root: 'ca.pem',
      email: 'o+x@a-b.test',
      eab: { key_id: 'k:1', hmac_key_env: 'EAB' },
    },
  })
})

test('its ports and address are read as written', () => {
  const proxy = '{http: 8080, https: 8443, bind: 100.64.0.1}'
  expect(parseConfig(file(proxy)).environments['prod']?.proxy).toEqual({ http: 8080, https: 8443, bind: '100.64.0.1' })
})

test('balancers that say who the visitor is: an address, a range, a word, or a list of them', () => {
  const health = (text: string) => parseConfig(file(`{health: ${text}}`)).environments['prod']?.proxy?.health
  expect(health('/host-up')).toEqual({ path: '/host-up', wait: 10_000 })
  expect(health('{path: /host-up, wait: 30s}')).toEqual({ path: '/host-up', wait: 30_000 })
  const read = (text: string) => parseConfig(file(`{proxy_protocol: ${text}}`)).environments['prod']?.proxy
  expect(read('10.0.0.7')).toEqual({ proxy_protocol: ['10.0.0.7'] })
  expect(read('[10.0.0.0/8, private_ranges]')).toEqual({ proxy_protocol: ['10.0.0.0/8', 'private_ranges'] })
})

test.each([
  ['{proxy_protocol: balancer}', 'must be an address or a range such as 203.0.113.7, 10.0.0.0/8'],
  ['{proxy_protocol: []}', 'must not be empty'],
  ['{health: up}', 'must be a path such as /up'],
  ['{health: /}', 'must not be /: it is taken from every service'],
  ['{health: {wait: 5s}}', 'must be a path such as /host-up, or a mapping with a `path` and a `wait`'],
  ['{http: 0}', 'must be a port from 1 to 65535'],
  ['{http: 443}', '`http` and `https` must be different ports'],
  ['{bind: 10.0.0.0/8}', 'must be an address of the host such as 100.64.0.1'],
  ['{bind: web-1}', 'must be an address of the host such as 100.64.0.1'],
  ['{acme: {ca: "http://ca.test/dir"}}', 'must be the URL of an ACME directory'],
  ['{acme: {ca: "https://ca.test/{env.HOME}"}}', 'must be the URL of an ACME directory'],
  ['{acme: {email: "{env.HOME}@a.test"}}', 'must be an e-mail address such as ops@example.com'],
  ['{acme: {ca_root: ca.pem}}', '`ca_root` and `eab` need a `ca`'],
  ['{acme: {eab: {key_id: k, hmac_key_env: EAB}}}', '`ca_root` and `eab` need a `ca`'],
  ['{acme: {ca: "https://ca.test/", eab: {key_id: k}}}', 'must be a mapping with `key_id` and `hmac_key_env`'],
  ['{acme: {ca: "https://ca.test/", eab: {key_id: k, hmac_key: secret}}}', 'unknown key "hmac_key" (did you mean'],
])('%s is refused', (proxy, message) => {
  expect(problems(proxy)).toContain(message)
})
