import { expect, test } from 'bun:test'
import type { Docker } from '../../lib/docker/client.ts'
import type { Route } from '../../lib/plan/routes/table.ts'
import { caddyConfig } from '../../lib/proxy/caddy/config.ts'
import { ensureFiles } from '../../lib/proxy/certificates/keys.ts'
import { requireModule } from '../../lib/proxy/certificates/modules.ts'
import { PROXY_FOLDER } from '../../lib/proxy/inside/scripts.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import { StagecraftError } from '../../lib/util/errors.ts'

test('caddyConfig() gives Caddy the provider with its settings; a secret stays in its file', () => {
  const dns = {
    provider: 'rfc2136',
    settings: { server: '10.0.0.53:53', ttl: 60, loud: false },
    secrets: { key: 'abc' },
    resolvers: ['10.0.0.53'],
    propagation_timeout: 90_000,
  }
  const route: Route = {
    ...{ service: 'web', hosts: ['shop.test', '*.shop.test'], path: '/', tls: 'auto', ports: { a: 80, b: 80 } },
    acme: { dns },
  }
  const { apps } = JSON.parse(JSON.stringify(caddyConfig({ shop: [route] }))) as { apps: { tls: unknown } }
  const provider = { name: 'rfc2136', server: '10.0.0.53:53', ttl: 60, loud: false }
  const key = `{file.${PROXY_FOLDER}/keys/shop/abc}`
  const challenge = { provider: { ...provider, key }, resolvers: ['10.0.0.53'], propagation_timeout: '90000ms' }
  expect(apps.tls).toEqual({
    automation: {
      policies: [['shop.test'], ['*.shop.test']].map((subjects) => ({
        ...{ subjects, issuers: [{ module: 'acme', challenges: { dns: challenge } }] },
      })),
    },
  })
})

test('what is in the place of a lost secret is one that the module of cloudflare loads', async () => {
  const kept: (string | undefined)[] = []
  const attempt: Docker['try'] = async (argv, { input } = {}) => {
    kept.push(input)
    return { argv, code: 0, stdout: '', stderr: '', timedOut: false }
  }
  const docker = { try: attempt, run: (_, args, options) => attempt(args, options), mask: createMask([]) } as Docker
  const dns = { provider: 'cloudflare', settings: {}, secrets: { api_token: 'abc' } }
  const route: Route = {
    service: 'web',
    hosts: ['shop.test'],
    path: '/',
    tls: 'auto',
    ports: { a: 80, b: 80 },
    acme: { dns },
  }
  await ensureFiles(docker, 'shop', [route])
  expect(kept).toEqual([expect.stringMatching(/^[A-Za-z0-9_-]{35,50}$/)])
})

/** An engine with one image, whose Caddy has these modules. */
function engine(image: string, modules: readonly string[]): { docker: Docker; calls: string[] } {
  const calls: string[] = []
  const attempt: Docker['try'] = async (args) => {
    calls.push(args.filter((word) => !word.startsWith('-')).join(' '))
    const isThere = args.includes(image)
    const code = args[0] === 'image' && !isThere ? 1 : 0
    if (args[0] === 'pull') image = String(args.at(-1))
    return { argv: args, code, stdout: `${modules.join('\n')}\n\n  Standard modules: 2\n`, stderr: '', timedOut: false }
  }
  return { docker: { try: attempt, run: (_, args, options) => attempt(args, options), mask: createMask([]) }, calls }
}

const config = {
  image: 'caddy:own',
  acme: { dns: { provider: 'cloudflare', settings: {}, variables: {} } },
}

async function refused(...args: Parameters<typeof requireModule>): Promise<string> {
  try {
    await requireModule(...args)
    return 'nothing'
  } catch (error) {
    if (!(error instanceof StagecraftError)) throw error
    return `${error.kind}: ${error.message}\n${error.hint}`
  }
}

test('an image without the module of the provider is refused, with how to build one', async () => {
  const without = engine('caddy:own', ['dns.providers.cloudflare2', 'http.handlers.file_server'])
  expect(await refused(without.docker, { config, proxy: undefined })).toMatchInlineSnapshot(`
    "config: Cannot use the DNS challenge of cloudflare: caddy:own lacks Caddy's module dns.providers.cloudflare
    Build an image with it, and name it in stagecraft.yml (\`proxy: {image: …}\`), for example of this Dockerfile:
      FROM caddy:2-builder AS build
      RUN xcaddy build --with github.com/caddy-dns/cloudflare
      FROM caddy:2
      COPY --from=build /usr/bin/caddy /usr/bin/caddy"
  `)
  const having = engine('caddy:own', ['  dns.providers.cloudflare'])
  expect(await refused(having.docker, { config, proxy: undefined })).toBe('nothing')
})

test('nobody is asked without the challenge; an image that is still to be pulled is asked when that may be', async () => {
  const { docker, calls } = engine('caddy:2', [])
  expect(await refused(docker, { config: { image: 'caddy:2' }, proxy: undefined })).toBe('nothing')
  expect(calls).toEqual([])
  expect(await refused(docker, { config, proxy: undefined })).toBe('nothing')
  expect(await refused(docker, { config, proxy: undefined }, { pulls: true })).toStartWith(
    'config: Cannot use the DNS challenge',
  )
})
