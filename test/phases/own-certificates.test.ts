import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { GIVEN, RENEWED } from '../fakes/certificates.ts'
import type { FakeProject } from '../fakes/project.ts'
import { deployed, HOST, newRouted, write } from '../scenes/routed.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const TLS = 'tls: {certificate: shop.crt, key: shop.key}'
const application = (more = `host: ${HOST}, port: 3000, ${TLS}`) => ({ settings: { web: `{expose: {${more}}}` } })

function newShop(given: { certificate: string; key: string } = GIVEN, more?: string): FakeProject {
  const project = temporary(newRouted('own', application(more)))
  put(project, given)
  return project
}

function put(project: FakeProject, { certificate, key }: { certificate: string; key: string }): void {
  project.write('shop.crt', certificate)
  project.write('shop.key', key)
}

const kept = (project: FakeProject) => project.engine.proxy.host.volume?.keys['shop']?.['web.pem']

test('a certificate and its key are kept only in the proxy, the certificate of the service first', async () => {
  const project = newShop({ certificate: GIVEN.authority + GIVEN.certificate, key: `  ${GIVEN.key}` })
  const { bundle, events } = await project.deploy()
  expect(kept(project)).toBe(GIVEN.certificate + GIVEN.authority + GIVEN.key)
  const written = readFileSync(join(project.folder, '.stagecraft/releases', bundle?.id ?? '', 'release.json'), 'utf8')
  const { caddy, routes } = project.engine.proxy.host.volume ?? {}
  const secret = GIVEN.key.split('\n')[1] ?? ''
  for (const text of [written, JSON.stringify([caddy, routes, events, project.engine.calls])])
    expect(text.includes(secret)).toBe(false)
})

test('another certificate is a change of the route, and does not change the configuration of the proxy', async () => {
  const project = newShop()
  await deployed(project)
  const { caddy } = project.engine.proxy.host.volume ?? {}
  expect((await project.plan()).routes).toMatchObject([{ service: 'api' }, { service: 'web', action: 'keep' }])
  put(project, RENEWED)
  expect((await project.plan()).routes[1]).toEqual({
    service: 'web',
    action: 'change',
    route: `https://${HOST} (new certificate)`,
  })
  await deployed(project)
  expect(kept(project)).toBe(RENEWED.certificate + RENEWED.key)
  expect(project.engine.proxy.host.volume?.caddy).toEqual(caddy)
  expect((await project.plan()).routes[1]?.action).toBe('keep')
})

test('a rollback keeps the newest certificate', async () => {
  const project = newShop()
  await deployed(project)
  put(project, RENEWED)
  write(project, { ...application(), web: 'web two' })
  await deployed(project)
  put(project, { certificate: '', key: '' })
  expect((await project.rollback()).error).toBeUndefined()
  expect(kept(project)).toBe(RENEWED.certificate + RENEWED.key)
})

test('both may come from variables, and a wildcard needs a certificate of its own', async () => {
  const tls = 'tls: {certificate_env: SHOP_CERTIFICATE, key_env: SHOP_KEY}'
  const project = newShop(GIVEN, `host: [${HOST}, "*.example.com"], port: 3000, ${tls}`)
  const { settings } = application(`host: [${HOST}, "*.example.com"], port: 3000, ${tls}`)
  const environment = 'secrets: {SHOP_CERTIFICATE: {file: shop.crt}, SHOP_KEY: {file: shop.key}}'
  write(project, { settings, environment })
  await deployed(project)
  expect(kept(project)).toBe(GIVEN.certificate + GIVEN.key)
})

const ENCRYPTED = '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIH\n-----END ENCRYPTED PRIVATE KEY-----\n'

test.each<[string, { certificate?: string; key?: string }, string | undefined, string]>([
  ['a key of another one', { key: RENEWED.key }, undefined, 'shop.key is the key of another certificate'],
  ['no key', { key: 'hello' }, undefined, 'shop.key has no private key (PEM)'],
  ['half a key', { key: GIVEN.key.replace('MIG', 'MIH') }, undefined, 'shop.key has a private key that cannot be read'],
  ['a passphrase', { key: ENCRYPTED }, undefined, 'shop.key is encrypted: the proxy needs it without a passphrase'],
  ['no certificate', { certificate: 'hello' }, undefined, 'shop.crt has no certificate (PEM)'],
  ['its end', { certificate: GIVEN.ended }, undefined, 'shop.crt ended 2020-01-01 08:00'],
  ['its beginning', { certificate: GIVEN.future }, undefined, 'shop.crt begins 2125-01-01 08:00'],
  ['another name', {}, 'a.b.example.com', 'shop.crt is not for a.b.example.com'],
  ['another wildcard', {}, '"*.shop.example.com"', 'shop.crt is not for *.shop.example.com'],
])('%s is refused before anything is changed, with its line', async (_, given, host = HOST, message) => {
  const project = newShop({ ...GIVEN, ...given }, `host: ${host}, port: 3000, ${TLS}`)
  const { error, release } = await project.deploy()
  expect([error?.kind, release]).toEqual(['config', undefined])
  const line = 5
  expect(error?.detail).toMatch(new RegExp(`^stagecraft\\.yml:${line}:\\d+: `))
  expect(error?.detail).toEndWith(message)
})
