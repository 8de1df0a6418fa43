import { describe, expect, test } from 'bun:test'
import { evidenceIn } from '../../lib/cli/init/evidence.ts'
import { lookAtImages } from '../../lib/cli/init/images/inspect.ts'
import { probeOf } from '../../lib/cli/init/images/probe.ts'
import type { Service } from '../../lib/compose/model.ts'
import { maskOf } from '../../lib/secrets/mask.ts'
import type { Exec } from '../../lib/system/exec.ts'
import { scratch } from '../support/command-line.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

/** @param engine what `docker image inspect` prints of each image that the engine has; undefined: there is no engine */
async function look(services: Readonly<Record<string, Service>>, engine?: Readonly<Record<string, object>>) {
  const asked: string[][] = []
  const exec: Exec = async (argv) => {
    asked.push([...argv])
    const names = argv.slice(3)
    const found = names.flatMap((name) => engine?.[name] ?? [])
    const missing = names.filter((name) => !(name in (engine ?? {}))).map((name) => `Error: No such image: ${name}`)
    const stderr = engine === undefined ? 'Cannot connect to the Docker daemon at unix:///x.' : missing.join('\n')
    return { argv, code: stderr === '' ? 0 : 1, stdout: JSON.stringify(found), stderr, timedOut: false }
  }
  const model = { name: 'shop', services }
  const images = await lookAtImages(
    exec,
    model,
    maskOf((text) => text),
  )
  expect(asked.filter(([, what, verb]) => what !== 'image' || verb !== 'inspect')).toEqual([]) // it pulls nothing
  return { images, expose: evidenceIn(model, '/srv/shop', images).expose }
}

const image = (ports: readonly string[], more: object = {}) => ({
  Config: { ExposedPorts: Object.fromEntries(ports.map((port) => [port, {}])), ...more },
})

describe('the images that the engine has', () => {
  test('say where a service listens, what it keeps, and how to ask whether it is well', async () => {
    const Healthcheck = { Test: ['CMD-SHELL', 'wget -qO- localhost:9000/healthz'] }
    const engine = { app: image(['9000/tcp', '9001/udp'], { Volumes: { '/files': {} }, Healthcheck }) }
    const { images, expose } = await look({ app: { image: 'app' }, other: { image: 'other' } }, engine)
    expect(images['app']).toEqual({ ports: [9000], volumes: ['/files'], probe: Healthcheck.Test })
    expect(expose).toEqual({ service: 'app', port: 9000, health: '/healthz', data: '/files' })
  })

  test('count less than what the Compose file says, and an image that compose has built is known by its name', async () => {
    const engine = { a: image(['9000/tcp']), 'shop-b': image(['7000/tcp']) }
    const build = { context: '/nowhere' }
    expect((await look({ a: { image: 'a' }, b: { build, expose: ['3000'] } }, engine)).expose?.port).toBe(3000)
    expect((await look({ b: { build } }, engine)).expose?.port).toBe(7000)
  })

  test('are not needed', async () => {
    expect((await look({ web: { image: 'web', expose: ['80'] } })).expose?.port).toBe(80)
    expect((await look({ web: { image: 'web' } }, { web: { Config: 'odd' } })).expose).toBeUndefined()
  })
})

describe('a Dockerfile', () => {
  const build = async (text: string, more: object = {}) => {
    const { path } = temporary(scratch({ Dockerfile: text }))
    return (await look({ web: { build: { context: path, ...more } } })).images['web']
  }

  test('says what an image is based on, and its ports', async () => {
    expect(await build('from node:22\nexpose 3000 3001/udp \\\n  $PORT 8080/tcp\n')).toMatchObject({
      base: 'node:22',
      ports: [3000, 8080],
    })
    const stages =
      'FROM --platform=$BUILDPLATFORM node:22 AS base\nEXPOSE 3000\nFROM base AS prod\nFROM golang AS tool\n'
    expect(await build(stages)).toMatchObject({ base: 'golang', ports: [] })
    expect(await build(stages, { target: 'prod' })).toMatchObject({ base: 'node:22', ports: [3000] })
    expect(await build('', { dockerfile_inline: 'FROM postgres:17\n' })).toMatchObject({ base: 'postgres:17' })
    expect(await build('FROM a AS b\nFROM b AS a\n')).toMatchObject({ base: 'a' })
  })

  test('that is absent, far away, a folder or odd says nothing', async () => {
    for (const context of ['/nowhere', 'https://example.com/repo.git', '/tmp'])
      expect((await look({ web: { build: { context, dockerfile: '.' } } })).images['web']?.base).toBeUndefined()
    expect((await build('EXPOSE 80\n'))?.ports).toEqual([])
    expect((await build('FROM x\n', { target: 'none' }))?.base).toBeUndefined()
  })
})

describe('a healthcheck', () => {
  const probe = (...test: string[]) => probeOf({ healthcheck: { test } }, { ports: [], volumes: [], probe: [] })

  test.each<[string, ReturnType<typeof probe>]>([
    ['curl -f http://localhost:3000/up || exit 1', { port: 3000, health: '/up' }],
    ["wget -qO- 'http://127.0.0.1:8080/api/healthz'", { port: 8080, health: '/api/healthz' }],
    ['curl --fail localhost:5000/ping;', { port: 5000, health: '/ping' }],
    ['node -e fetch("http://[::1]:4000/login")', { port: 4000 }],
    ['curl http://localhost/health?deep=1', { port: 80 }],
    ['curl http://localhost', { port: 80 }],
    ['pg_isready -h localhost -U postgres', undefined],
    ['curl https://localhost:8443/up', undefined],
    ['curl http://db:3000/up', undefined],
    ['redis-cli ping', undefined],
  ])('%p', (command, expected) => {
    expect(probe('CMD-SHELL', command)).toEqual(expected)
  })

  test('that is disabled says nothing, and words are as good as a script', () => {
    expect(probe('CMD', 'curl', '-f', 'http://localhost:3000/up')).toEqual({ port: 3000, health: '/up' })
    const healthcheck = { test: ['CMD', 'curl', 'http://localhost:3000/up'], disable: true }
    expect(probeOf({ healthcheck }, { ports: [], volumes: [], probe: [] })).toBeUndefined()
  })
})
