import { beforeAll, expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import {
  type App,
  deploy,
  ENDS_SOON,
  expectCode,
  expectPage,
  expectPhases,
  httpd,
  idle,
  page,
  QUICK_STOP,
  releases,
  type ServiceSource,
  sharedFolders,
  startRegistry,
  touched,
  until,
  writeApp,
  writePage,
} from './app.ts'

// Any failure: the previous release stays live, exit 5, and the screen says why. One project; v1 is live throughout.
const h1 = host('h1')
const [folder, fresh, slow] = sharedFolders(h1, 'failures', 'first-failure', 'slow-database')

let port = 0
let registry = 0
let app: App
const withWeb = (web: ServiceSource, settings: App['settings'] = {}): App => ({
  ...app,
  services: { ...app.services, web: page(port, web) },
  settings,
})
const shell = (script: string) => ['sh', '-c', script]

beforeAll(async () => {
  port = await h1.freePort()
  registry = await h1.freePort()
  app = {
    services: { web: page(port), store: { ...idle, volumes: ['/data'] }, other: idle },
    settings: {},
  }
  writePage(folder, 'version one')
  writeApp(folder, app)
  await Promise.all([deploy(folder, 'v1'), startRegistry(folder, registry)])
  const { code } = await folder.docker(['compose', 'exec', '-T', 'store', 'sh', '-c', 'echo precious >/data/file'])
  expect(code).toBe(0)
})

/** Deploys what must fail in `phase`, and checks what runs and what is recorded. */
async function fails(version: string, phase: string, recreated: string[], code = 5): Promise<string> {
  const before = await folder.containers()
  const { stdout, stderr } = await deploy(folder, version, code)
  expect(stdout).toBe('')
  expectPhases(folder, version, phase)
  const after = await folder.containers()
  expect(touched(before, after)).toEqual(recreated)
  const what = (list: typeof after) => list.map(({ service, image, state }) => ({ service, image, state }))
  expect(what(after)).toEqual(what(before))
  await expectPage(folder, port, 'version one')
  expect(stderr).toMatch(/hint: (.|\n)*v1 \(rel-\d{8}-\d{9}\) is still live\./)
  return stderr
}

test('a build that fails: nothing is touched, and the last lines of the step are shown', async () => {
  const lots = 'i=0; while [ $i -lt 400 ]; do echo "compiling module $i"; i=$((i+1)); done'
  folder.write('web/Dockerfile', `FROM busybox:1\nRUN { ${lots}; echo "undefined: frobnicate"; } >&2; exit 3\n`)
  const stderr = await fails('v-build', 'build', [])
  expect(stderr).toContain('Cannot build web: RUN { i=0; while')
  expect(stderr).toContain('ended with 3\n[web 2/2] RUN')
  expect(stderr).toMatch(/\n\(38[01] more lines before\)\n/)
  expect(stderr).toContain('\ncompiling module 399\nundefined: frobnicate\n') // of one stream: BuildKit mixes two
  writePage(folder, 'version one')
})

test('an image that the registry does not have', async () => {
  writeApp(folder, { ...app, services: { ...app.services, extra: { ...idle, image: `localhost:${registry}/none:1` } } })
  const stderr = await fails('v-image', 'push', [])
  expect(stderr).toContain(`Cannot pull localhost:${registry}/none:1`)
  expect(stderr).toContain('manifest unknown')
})

test('a registry that does not answer ends with 8', async () => {
  const unused = await h1.freePort()
  writeApp(folder, { ...app, services: { ...app.services, extra: { ...idle, image: `localhost:${unused}/none:1` } } })
  const stderr = await fails('v-registry', 'push', [], 8)
  expect(stderr).toContain(`Cannot pull localhost:${unused}/none:1: the registry does not answer`)
  expect(stderr).toContain('connection refused')
})

test('a container that ends at once', async () => {
  const script = 'echo starting; echo "cannot open /etc/app.conf" >&2; exit 7'
  writeApp(folder, withWeb({ command: shell(script) }, { web: ENDS_SOON }))
  const stderr = await fails('v-exits', 'rollout', ['web'])
  expect(stderr).toContain('Cannot start web: it ended with exit code 7')
  expect(stderr).toMatch(/last log lines:\n(.|\n)*cannot open \/etc\/app\.conf/)
})

test('a container that crashes again and again', async () => {
  const script = 'echo "attempt"; sleep 0.1; echo "no route to the database" >&2; exit 1'
  writeApp(
    folder,
    withWeb(
      { command: shell(script), restart: 'always' },
      { web: { rollout: { min_ready: '10s', health_timeout: '11s' } } },
    ),
  )
  const stderr = await fails('v-loop', 'rollout', ['web'])
  expect(stderr).toContain('Cannot start web: it crashes and restarts')
  expect(stderr).toContain('no route to the database')
})

test('a container that never becomes healthy', async () => {
  const healthcheck = { test: ['CMD-SHELL', 'echo still warming up; exit 1'], interval: '1s', retries: 100 }
  const command = shell(`echo "waiting for the cache"; exec ${httpd('/www').join(' ')}`)
  writeApp(folder, withWeb({ command, healthcheck }, { web: { rollout: { health_timeout: '15s' } } }))
  const stderr = await fails('v-sick', 'rollout', ['web'])
  expect(stderr).toContain('Cannot start web: it has not become healthy after 15 s')
  expect(stderr).toContain('last health output: still warming up')
  expect(stderr).toMatch(/last log lines:\n(.|\n)*waiting for the cache/)
})

test('a program that is not in the image', async () => {
  writeApp(folder, withWeb({ command: ['no-such-program'] }))
  const stderr = await fails('v-program', 'rollout', ['web'])
  expect(stderr).toContain('no-such-program')
})

test('a port that is taken', async () => {
  writeApp(folder, { ...app, services: { ...app.services, other: { ...idle, ports: [`${registry}:80`] } } })
  const [before, known] = [await folder.containers(), releases(folder)]
  const { stderr } = await deploy(folder, 'v-port', 5)
  const holder = `the container ${folder.name}-registry`
  expect(stderr).toContain(`Cannot give port ${registry} to other: ${holder}`)
  expect([await folder.containers(), releases(folder)]).toEqual([before, known])
  expect((await folder.stagecraft(['plan'])).stderr).toContain(holder)
})

test('a port on which something listens that publishes none: as a program of the machine', async () => {
  const [taken, name] = [await h1.freePort(), `${folder.name}-listener`]
  const label = `com.docker.compose.project=${name}`
  const run = ['run', '-d', '--name', name, '--label', label, '--network', 'host']
  expectCode(await folder.docker([...run, 'busybox:1', 'nc', '-ll', '-p', String(taken), '-e', 'cat']), 0)
  const hex = taken.toString(16).toUpperCase().padStart(4, '0')
  await until('it listens', async () => {
    return (await h1.exec(['grep', '-q', `:${hex} .* 0A `, '/proc/net/tcp', '/proc/net/tcp6'])).code === 0 || 'not yet'
  })
  writeApp(folder, { ...app, services: { ...app.services, other: { ...idle, ports: [`${taken}:80`] } } })
  const { stderr } = await deploy(folder, 'v-port', 5)
  expect(stderr).toMatch(new RegExp(`Cannot give port ${taken} to other: .* listens there\n`))
  await folder.docker(['rm', '-f', name])
})

test('a new service that fails is removed, and the others are not touched', async () => {
  const extra = { image: 'busybox:1', command: shell('echo "bad news"; exit 1') }
  writeApp(folder, { ...app, services: { ...app.services, extra }, settings: { extra: ENDS_SOON } })
  expect(await fails('v-new', 'rollout', [])).toContain('bad news')
})

test('services that had already changed are rolled back too, and an anonymous volume keeps its data', async () => {
  const changed = { environment: { CHANGED: 'yes' } }
  const store = { ...idle, ...changed, volumes: ['/data'], command: shell('exit 1'), depends_on: ['other'] }
  const services = { ...app.services, other: { ...idle, ...changed }, store }
  writeApp(folder, { ...app, services, settings: { store: ENDS_SOON } })
  await fails('v-store', 'rollout', ['other', 'store'])
  const data = () => folder.docker(['compose', 'exec', '-T', 'store', 'cat', '/data/file'])
  expect((await data()).stdout).toBe('precious\n')
  expect((await folder.docker(['compose', 'exec', '-T', 'other', 'env'])).stdout).not.toContain('CHANGED')

  writeApp(folder, { ...app, services: { ...app.services, store: { ...app.services['store'], ...changed } } })
  await deploy(folder, 'v2')
  expect((await data()).stdout).toBe('precious\n')
})

test('after a failure the next correct release is deployed', async () => {
  writePage(folder, 'version three')
  await deploy(folder, 'v3')
  expectPhases(folder, 'v3')
  await expectPage(folder, port, 'version three')
})

test('a first deploy that fails leaves nothing but volumes', async () => {
  const nothing = { image: 'busybox:1', command: shell('exit 1'), ...QUICK_STOP }
  const services = { db: { ...idle, volumes: ['kept:/kept'] }, web: { ...nothing, depends_on: ['db'] } }
  const compose = { volumes: { kept: {} }, networks: { back: {} } }
  writeApp(fresh, { services, compose, settings: { web: ENDS_SOON } })
  const { stderr } = await deploy(fresh, 'v1', 5)
  expect(stderr).toContain('Nothing was deployed before, and nothing is running.')
  expectPhases(fresh, 'v1', 'rollout')
  expect(await fresh.containers()).toEqual([])
  const filter = ['--filter', `label=com.docker.compose.project=${fresh.name}`, '--format', '{{.Name}}']
  expect((await fresh.docker(['network', 'ls', ...filter])).stdout).toBe('')
  expect((await fresh.docker(['volume', 'ls', ...filter])).stdout).toBe(`${fresh.name}_kept\n`)
  const { db } = services
  writeApp(fresh, { services: { db, web: idle }, compose: { volumes: { kept: {} } } })
  await deploy(fresh, 'v2')
  expectPhases(fresh, 'v2')
})

test('a service that exits until its database is up is waited for; one that then exits with 0 is done', async () => {
  const ask = (then: string) => shell(`nc -w 1 db 5432 </dev/null || { echo no database; exit 1; }; ${then}`)
  const services = {
    db: {
      image: 'busybox:1',
      command: shell('until [ -e /tmp/go ]; do sleep 0.1; done; exec nc -ll -p 5432 -e cat'),
      ...QUICK_STOP,
    },
    web: { ...idle, restart: 'unless-stopped', command: ask('exec sleep 1d') },
    seed: { ...idle, restart: 'on-failure', command: ask('exit 0') },
  }
  const patient = { rollout: { min_ready: '10s', health_timeout: '3m' } }
  const settings = { web: patient, seed: patient }
  writeApp(slow, { services, settings })
  const running = slow.startStagecraft(['deploy', '--version', 'v1'])
  const waits = / {2}web +wait +restarted (once|\d times), waiting\n/
  await until('web is waited for', () => waits.test(running.output()) || running.output())
  expectCode(await slow.docker(['exec', `${slow.name}-db-1`, 'touch', '/tmp/go']), 0)
  const done = await running.done
  expectCode(done, 0)
  const { stderr } = done
  expect(stderr).toContain('seed ended with 0: it is treated as a finished job')
  const before = await slow.containers()
  expect(before.map(({ service, state }) => `${service} ${state}`)).toEqual([
    'db running',
    'seed exited',
    'web running',
  ])
  const again = await deploy(slow, 'v2')
  expect(again.stderr).not.toContain('ended with 0')
  expect(touched(before, await slow.containers())).toEqual([])
})
