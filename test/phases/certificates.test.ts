import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CERTIFICATE, certificateOf, logged } from '../fakes/certificates.ts'
import type { FakeProject } from '../fakes/project.ts'
import { deployed, HOST, newRouted, write } from '../scenes/routed.ts'
import { told } from '../scenes/shop.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const HMAC = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajV'
const ACME =
  '{ca: https://ca.test/dir, ca_root: root.pem, email: ops@example.com, eab: {key_id: k-1, hmac_key_env: EAB_KEY}}'
const APPLICATION = {
  settings: { web: `{expose: {host: ${HOST}, port: 3000}}` },
  environment: `proxy: {acme: ${ACME}}\n    secrets: {EAB_KEY: {file: eab}}`,
}

function newShop(application = APPLICATION): FakeProject {
  const project = temporary(newRouted('acme', application))
  project.write('root.pem', `the CA of the company\n${CERTIFICATE}\n`)
  project.write('eab', `${HMAC}\n`)
  project.engine.proxy.certificate = (host) => certificateOf(host, 'ca.test-dir')
  return project
}

const warnings = (events: readonly { type: string; message?: string }[]) =>
  events.flatMap(({ type, message }) => (type === 'warning' ? [message] : []))

test('the CA of the environment is used for its routes; its key is only in a file of the proxy', async () => {
  const project = newShop()
  const { bundle, events } = await project.deploy()
  const { acme } = bundle?.routes?.find(({ service }) => service === 'web') ?? {}
  expect(acme).toMatchObject({ ca: 'https://ca.test/dir', email: 'ops@example.com', root: `${CERTIFICATE}\n` })
  const { volume } = project.engine.proxy.host
  expect(volume?.keys).toEqual({
    shop: { [acme?.eab?.hmac ?? '']: HMAC, [String(rootName(volume?.caddy))]: acme?.root ?? '' },
  })
  const written = readFileSync(join(project.folder, '.stagecraft/releases', bundle?.id ?? '', 'release.json'), 'utf8')
  for (const text of [written, JSON.stringify([volume?.caddy, volume?.routes, events, project.engine.calls])])
    expect(text.includes(HMAC)).toBe(false)
  expect(warnings(events)).toEqual([])
})

/** The name of the file with the CA's root, as in Caddy's configuration. */
function rootName(caddy: unknown): string | undefined {
  return /"trusted_roots_pem_files":\["[^"]*\/keys\/shop\/(\w+)"/.exec(JSON.stringify(caddy))?.[1]
}

test('a rollback keeps the CA, without the files; `down` forgets the keys', async () => {
  const project = newShop()
  await deployed(project)
  write(project, { ...APPLICATION, web: 'web two' })
  const { bundle } = await project.deploy()
  project.write('root.pem', '')
  project.write('eab', '')
  const { error, bundle: restored } = await project.rollback()
  expect([error, restored?.routes]).toEqual([undefined, bundle?.routes])
  expect((await project.down()).error).toBeUndefined()
  expect(project.engine.proxy.host.volume?.keys).toEqual({})
})

test.each([
  ['root.pem', 'no PEM', '3:35: root.pem has no certificate (PEM)'],
  ['root.pem', CERTIFICATE.replace('MIIB', 'MIIA'), '3:35: root.pem has a certificate that cannot be read'],
  ['eab', 'no key!', '3:35: EAB_KEY has a value that is not base64url'],
])('%s with the wrong content is refused, with its line', async (file, text, message) => {
  const project = newShop()
  project.write(file, text)
  const { error } = await project.deploy()
  expect(error?.kind).toBe('config')
  expect(error?.detail?.replace(/^stagecraft\.yml:3:\d+/, '3:35')).toBe(message)
})

test('a deploy waits for the certificates, and warns about those that are refused', async () => {
  const project = newShop()
  const { state } = project.engine
  const asks = logged(HOST, 'obtaining certificate', 0)
  const end = state.now + 60_000
  project.engine.proxy.certificate = () => (state.now < end ? asks : certificateOf(HOST, 'ca.test-dir'))
  const slow = await project.deploy()
  expect([told(slow), warnings(slow.events), state.now >= end]).toEqual(['no error', [], true])
  project.engine.proxy.certificate = () => asks + logged(HOST, 'could not get certificate from issuer', 0, 'no way')
  write(project, { ...APPLICATION, web: 'web two' })
  const refused = await project.deploy()
  expect([told(refused), warnings(refused.events)]).toEqual([
    'no error',
    [`there is no certificate for ${HOST} yet: no way`],
  ])
})

test('the secret of the DNS provider is only in a file of the proxy; a rollback keeps the provider', async () => {
  const dns = '{provider: cloudflare, api_token_env: DNS_TOKEN, zone: shop}'
  const application = {
    ...APPLICATION,
    environment: `proxy: {acme: {dns: ${dns}}}\n    secrets: {DNS_TOKEN: {file: eab}}`,
  }
  const project = newShop(application)
  project.engine.proxy.modules = ['dns.providers.cloudflare']
  project.engine.proxy.certificate = certificateOf
  const { bundle, events, error } = await project.deploy()
  expect([error, warnings(events)]).toEqual([undefined, []])
  const { acme } = bundle?.routes?.find(({ service }) => service === 'web') ?? {}
  const digest = acme?.dns?.secrets['api_token'] ?? ''
  expect(acme).toEqual({ dns: { provider: 'cloudflare', settings: { zone: 'shop' }, secrets: { api_token: digest } } })
  const { volume } = project.engine.proxy.host
  expect(volume?.keys).toEqual({ shop: { [digest]: HMAC } })
  expect(JSON.stringify([volume?.caddy, volume?.routes, events, project.engine.calls]).includes(HMAC)).toBe(false)
})

test('an image without the module is refused before anything is changed', async () => {
  const project = newShop()
  await deployed(project)
  write(project, { ...APPLICATION, environment: 'proxy: {acme: {dns: {provider: cloudflare}}}' })
  const { error, events } = await project.deploy()
  expect(error?.message).toBe(
    "Cannot use the DNS challenge of cloudflare: caddy:2 lacks Caddy's module dns.providers.cloudflare",
  )
  expect(events.filter(({ type }) => type === 'phase')).toEqual([])
})
