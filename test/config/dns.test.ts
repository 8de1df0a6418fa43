import { expect, test } from 'bun:test'
import { parseConfig } from '../../lib/config/parse.ts'
import { problemsIn } from '../support/failure.ts'

const file = (dns: string, services = '') => `environments: {prod: {proxy: {acme: {dns: ${dns}}}${services}}}`

test('the DNS challenge has a provider, its settings, variables with its secrets, and two settings of the proof', () => {
  const text =
    '{provider: rfc2136, server: "10.0.0.53:53", ttl: 60, key_env: DNS_KEY, resolvers: [10.0.0.53], propagation_timeout: off}'
  expect(parseConfig(file(text)).environments['prod']?.proxy?.acme?.dns).toEqual({
    provider: 'rfc2136',
    settings: { server: '10.0.0.53:53', ttl: 60 },
    variables: { key: 'DNS_KEY' },
    resolvers: ['10.0.0.53'],
    propagation_timeout: -1,
  })
})

test.each([
  ['cloudflare', 'must be a mapping such as {provider: cloudflare, api_token_env: CLOUDFLARE_TOKEN}'],
  ['{api_token_env: X}', 'must have a `provider`, such as cloudflare'],
  ['{provider: "a b"}', 'must have a `provider`, such as cloudflare'],
  ['{provider: a, API: b}', 'must have names in lower case such as api_token'],
  ['{provider: a, api_token: secret}', 'has a secret: let a variable hold it'],
  ['{provider: a, api_token_env: "a b"}', 'has a key that ends with _env, which must be the name of a variable'],
  ['{provider: a, server: "{env.HOME}"}', 'must be a text without braces, a number, or true or false'],
  ['{provider: a, zones: [b]}', '`resolvers`, and nothing else, is a list of name servers'],
  ['{provider: a, resolvers: b}', '`resolvers`, and nothing else, is a list of name servers'],
  ['{provider: a, propagation_timeout: soon}', '`propagation_timeout` must be a duration such as 5m, or off'],
])('%s is refused', (dns, message) => {
  expect(problemsIn(file(dns))).toContain(message)
})

test('with it a host may be a wildcard', () => {
  const services = ', services: {w: {expose: {host: "*.a.test", port: 80}}}'
  expect(problemsIn(file('{provider: cloudflare, api_token_env: X}', services))).toBe('none')
})
