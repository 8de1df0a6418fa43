import { beforeAll, expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import {
  type App,
  deploy,
  ENDS_SOON,
  echoing,
  expectCode,
  expectPage,
  expectPhases,
  httpd,
  idle,
  page,
  QUICK_STOP,
  sharedFolders,
  touched,
  touchedBy,
  until,
  writeApp,
  writePage,
} from './app.ts'

// Containers that someone started or changed by hand.
const h1 = host('h1')
const [folder, failing, unknown] = sharedFolders(h1, 'adopted', 'adopt-fails', 'adopt-unknown')

let port = 0
let api = 0
let app: App
const composeUp = (project: typeof folder) => project.docker(['compose', 'up', '-d', '--build'])

beforeAll(async () => {
  port = await h1.freePort()
  api = await h1.freePort()
  const answer = (word: string) => ({
    ...echoing('$$WORD'),
    environment: { WORD: word },
    ports: [`${api}:80`],
  })
  const beside = { ...idle, network_mode: 'service:web' }
  app = { services: { web: page(port, { depends_on: ['api'] }), api: answer('by the file'), plain: idle, beside } }
  writePage(folder, 'by hand')
  writeApp(folder, app)
  expectCode(await composeUp(folder), 0)
})

test('a project that docker compose started is adopted by its first deploy: nothing is touched', async () => {
  expect(await touchedBy(folder, () => deploy(folder, 'v1'))).toEqual([])
  expectPhases(folder, 'v1')
  await expectPage(folder, port, 'by hand')
  expect(await touchedBy(folder, () => deploy(folder, 'v2'))).toEqual([])
})

test('a container that was stopped by hand is healed by the next deploy', async () => {
  const before = await folder.containers()
  expectCode(await folder.docker(['compose', 'stop', 'api', 'plain']), 0)
  expectCode(await folder.docker(['compose', 'rm', '-f', 'plain']), 0)
  const { stderr } = await deploy(folder, 'v3')
  expect(stderr).toContain('it is not running')
  expect(stderr).toContain('it does not exist any more')
  const after = await folder.containers()
  expect(touched(before, after)).toEqual(['api', 'plain'])
  expect(after.map(({ state }) => state)).toEqual(['running', 'running', 'running', 'running'])
  await expectPage(folder, api, 'by the file')
})

test('a sidecar whose owner was recreated by hand gets its network back', async () => {
  expectCode(await folder.docker(['compose', 'up', '-d', '--no-deps', '--force-recreate', 'web']), 0)
  const touched = await touchedBy(folder, async () => {
    const { stderr } = await deploy(folder, 'v-orphan')
    expect(stderr).toContain('the container whose namespace it uses is gone')
  })
  expect(touched).toContain('beside')
  const inside = await folder.docker(['compose', 'exec', '-T', 'beside', 'wget', '-qO-', 'http://localhost/'])
  expect(inside.stdout).toBe('by hand')
  expect(await touchedBy(folder, () => deploy(folder, 'v-again'))).toEqual([])
})

test('changes by a manual docker compose up are reverted', async () => {
  writeApp(folder, {
    ...app,
    services: { ...app.services, api: { ...app.services['api'], environment: { WORD: 'by some hand' } } },
  })
  expectCode(await composeUp(folder), 0)
  await expectPage(folder, api, 'by some hand')
  writeApp(folder, app)
  const touched = await touchedBy(folder, async () => {
    const { stderr } = await deploy(folder, 'v4')
    expect(stderr).toContain('it was changed by hand')
  })
  expect(touched).toContain('api')
  await expectPage(folder, api, 'by the file')
  expect(await touchedBy(folder, () => deploy(folder, 'v5'))).toEqual([])
})

test('an adopted service whose image changed is recreated; if that fails, the old image is restored', async () => {
  writePage(failing, 'by hand')
  const own = await h1.freePort()
  failing.write('.env', 'TOKEN=of the environment\n')
  const web = page(own, { secrets: ['token'] })
  const beside = { ...idle, network_mode: 'service:web' }
  const adopted: App = { services: { web, beside }, compose: { secrets: { token: { environment: 'TOKEN' } } } }
  writeApp(failing, adopted)
  expectCode(await composeUp(failing), 0)
  const before = await failing.containers()

  failing.write('web/Dockerfile', 'FROM busybox:1\nCMD ["sh", "-c", "echo broken; exit 9"]\n')
  writeApp(failing, { ...adopted, settings: { web: ENDS_SOON } })
  const { stderr } = await deploy(failing, 'v1', 5)
  expect(stderr).toContain('Cannot start web: it ended with exit code 9')
  expect(stderr).toContain('The previous containers are still running.')
  const after = await failing.containers()
  expect(touched(before, after)).toEqual(['beside', 'web'])
  expect(after.map(({ image }) => image)).toEqual(before.map(({ image }) => image))
  await expectPage(failing, own, 'by hand')
  const secret = await failing.docker(['compose', 'exec', '-T', 'web', 'cat', '/run/secrets/token'])
  expect(secret.stdout).toBe('of the environment')
  const inside = await failing.docker(['compose', 'exec', '-T', 'beside', 'wget', '-qO-', 'http://localhost/'])
  expect(inside.stdout).toBe('by hand')

  writePage(failing, 'by a release')
  writeApp(failing, adopted)
  expect(await touchedBy(failing, () => deploy(failing, 'v2'))).toEqual(['beside', 'web'])
  await expectPage(failing, own, 'by a release')
})

test('containers that differ from the file are restored as they were, or removed once the release is live', async () => {
  const own = await h1.freePort()
  const store = (script: string) => ({
    image: 'busybox:1',
    command: ['sh', '-c', `${script} exec ${httpd('/www').join(' ')}`],
    volumes: ['data:/www'],
    ports: [`${own}:80`],
    ...QUICK_STOP,
  })
  const services = (script: string) => ({
    db: store(script),
    init: { ...idle, restart: 'no', command: ['true'] },
  })
  const write = (script: string, settings: App['settings'] = {}) =>
    writeApp(unknown, {
      services: services(script),
      compose: { volumes: { data: {} } },
      settings: { init: ENDS_SOON, ...settings },
    })
  write('echo precious >/www/index.html;')
  expectCode(await composeUp(unknown), 0)
  await until('init has ended', async () => (await unknown.containers())[1]?.state === 'exited' || 'not yet')
  const before = await unknown.containers()
  write('echo broken >/www/broken; sleep 1; exit 9;', { db: ENDS_SOON })
  const { stderr } = await deploy(unknown, 'v1', 5)
  expect(stderr).toContain('Cannot start db: it ended with exit code 9')
  expect(stderr).toContain('The previous containers are still running.')
  const facts = (list: typeof before) => list.map(({ id, service, state }) => [id, service, state])
  expect(facts(await unknown.containers())).toEqual(facts(before))
  await expectPage(unknown, own, 'precious')

  write('')
  const live = await deploy(unknown, 'v2')
  expect(live.stderr).toContain('init ended with 0')
  await expectPage(unknown, own, 'precious')
  const db = (await unknown.containers()).filter(({ service }) => service === 'db')
  expect(db).toHaveLength(1)
  expect(before.map(({ id }) => id)).not.toContain(db[0]?.id)
  expect(await touchedBy(unknown, () => deploy(unknown, 'v3'))).toEqual([])
})
