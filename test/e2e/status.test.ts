import { beforeAll, describe, expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import {
  bundle,
  deploy,
  expectCode,
  idle,
  page,
  QUICK_STOP,
  releases,
  sharedFolders,
  until,
  writeApp,
  writePage,
} from './app.ts'

// Changes by hand, and containers that break by themselves, compared with the live release.
const h1 = host('h1')
const [folder, empty] = sharedFolders(h1, 'status', 'status-empty')

const CHECK = {
  test: ['CMD', 'sh', '-c', 'test ! -e /tmp/sick || { echo it says sick-of-it; exit 1; }'],
  interval: '1s',
  timeout: '60s', // it may start slowly: that is no failure
  retries: 1,
}
/** Ends when a file appears, and is started again. */
const WORK = 'rm -f /tmp/end; while [ ! -e /tmp/end ]; do sleep 0.1; done; exit 3'

beforeAll(async () => {
  const port = await h1.freePort()
  writePage(folder, 'one')
  const worker = { ...idle, command: ['sh', '-c', WORK], restart: 'always' }
  const db = { ...idle, healthcheck: CHECK, environment: { PASSWORD: 'sick-of-it' }, networks: ['back'] }
  const migrate = { image: 'busybox:1', command: ['true'] }
  const later = { depends_on: { migrate: { condition: 'service_completed_successfully' } } }
  writeApp(folder, {
    services: { web: page(port, later), worker, db, migrate, many: { ...idle, scale: 2 } },
    compose: { networks: { back: {} } },
    settings: { db: { rollout: { strategy: 'hold' } } },
  })
  await deploy(folder, 'v1')
})

const status = (...args: string[]) => folder.stagecraft(['status', ...args])
const idsOf = async (service: string) =>
  (await folder.containers()).filter((container) => container.service === service).map(({ id }) => id)
const docker = async (...args: string[]) => expectCode(await folder.docker(args), 0)

/** @returns the exit code and what differs from the release, by name. */
async function seen(): Promise<{ code: number; drift: Record<string, string> }> {
  const { code, stdout } = await status('--json')
  const found: Record<string, string> = {}
  for (const { name, why } of JSON.parse(stdout.split('\n')[0] ?? '').drift)
    found[name] = found[name] === undefined ? why : `${found[name]} / ${why}`
  return { code, drift: found }
}

const WELL = { code: 0, drift: {} }
const heal = async () => {
  await deploy(folder, 'v1')
  await until('all is well again', async () => {
    const { code, drift } = await seen()
    return code === 0 ? true : JSON.stringify(drift)
  })
}

test('a fresh deploy is healthy and as released', async () => {
  const { code, stdout, stderr } = await status()
  expect([code, stderr]).toEqual([0, ''])
  const [first] = releases(folder)
  const lines = stdout.replace(/sc-[0-9a-f]{12}/, 'sc-<id>').split('\n')
  expect(lines[0]).toMatch(new RegExp(`^local: v1 \\(${first?.id}\\) live since ....-..-.. ..:.., as released$`))
  const rows = lines.slice(3, 8).map((line) => line.replace(/ +\d+ \w+$/, '').split(/ {2,}/))
  expect(rows).toEqual([
    ['db (held)', 'v1', 'busybox:1', '1/1', 'healthy', '0'],
    ['many', 'v1', 'busybox:1', '2/2', 'running', '0'],
    ['migrate', 'v1', 'busybox:1', 'job', 'exited (0)', '0'],
    ['web', 'v1', 'sc-<id>', '1/1', 'running', '0'],
    ['worker', 'v1', 'busybox:1', '1/1', 'running', '0'],
  ])
  expect(lines.slice(9, 14)).toEqual([
    expect.stringMatching(/^ {2}ID +ENV +VERSION +STATUS +STARTED$/),
    expect.stringMatching(new RegExp(`^\\* ${first?.id} +local +v1 +completed +`)),
    '',
    'lock: local is free',
    '',
  ])
})

describe('by hand', () => {
  test('stopped, killed and removed, and put right by a deploy', async () => {
    const [web] = await idsOf('web')
    const [many] = await idsOf('many')
    const [worker] = await idsOf('worker')
    await docker('stop', web ?? '')
    await docker('kill', many ?? '')
    await docker('rm', '-f', worker ?? '')
    const { code, drift } = await seen()
    expect(code).toBe(5)
    expect(drift).toEqual({
      web: 'it is not running (exited, exit code 137)',
      many: expect.stringMatching(/-many-\d: it is not running \(exited, exit code 137\)$/),
      worker: 'it does not exist any more',
    })
    expect((await status()).stdout).toContain('; 3 of 5 services are not as released\n')
    await heal()
  })

  test('paused', async () => {
    const [web] = await idsOf('web')
    await docker('pause', web ?? '')
    expect(await seen()).toEqual({ code: 5, drift: { web: 'it is not running (paused, exit code 0)' } })
    await docker('unpause', web ?? '')
    expect(await seen()).toEqual(WELL)
  })

  test('scaled, recreated with other settings, and with another image', async () => {
    const model = JSON.parse(folder.read('compose.yaml'))
    const services = { ...model.services, worker: { ...model.services.worker, environment: { BY: 'hand' } } }
    folder.write('hand/compose.yaml', JSON.stringify({ ...model, services }))
    const up = ['compose', '-p', folder.name, '-f', 'hand/compose.yaml', 'up', '-d', '--no-deps', '--no-build']
    await docker(...up, 'worker')
    await docker(...up, '--no-recreate', '--scale', 'many=3', 'many')
    const { id, images } = { id: releases(folder)[0]?.id, ...bundle(folder) }
    const web = `${folder.name}-web:sc-${images['web']?.id.slice('sha256:'.length, 'sha256:'.length + 12)}`
    await docker('tag', 'busybox:1', web)
    const again = ['-f', `.stagecraft/releases/${id}/compose.json`, 'up', '-d', '--no-deps', '--force-recreate', 'web']
    await docker('compose', '-p', folder.name, ...again)
    await docker('tag', images['web']?.id ?? '', web)
    const { code, drift } = await seen()
    expect(code).toBe(5)
    expect(drift).toEqual({
      worker: 'it was changed by hand',
      many: `3 containers, released with 2 / ${folder.name}-many-3: it was changed by hand`,
      web: 'it is not running (exited, exit code 0) / its image was changed by hand',
    })
    const text = (await status()).stdout
    expect(text).toMatch(/\nmany +v1 +busybox:1 +3\/2 +running /)
    expect(text).toMatch(/\nweb +v1 +busybox:1 +0\/1 +exited /)
    const list = await folder.docker(['ps', '-q', '--filter', `name=${folder.name}-many-3`])
    await docker('rm', '-f', list.stdout.trim())
    await heal()
  })

  test('a container that belongs to no service, and a missing network', async () => {
    const label = `com.docker.compose.project=${folder.name}`
    const name = `${folder.name}-stranger`
    const labels = ['--label', label, '--label', 'com.docker.compose.service=stranger']
    await docker('run', '-d', '--name', name, ...labels, 'busybox:1', 'sleep', '1d')
    expect(await seen()).toEqual({ code: 5, drift: { [name]: 'it belongs to no release' } })
    expect((await status()).stdout).toContain('; its services are as released, but something else is not\n')
    await docker('rm', '-f', name)

    const [db] = await idsOf('db')
    await docker('network', 'disconnect', '-f', `${folder.name}_back`, db ?? '')
    await docker('network', 'rm', `${folder.name}_back`)
    expect(await seen()).toEqual({ code: 5, drift: { [`${folder.name}_back`]: 'it does not exist any more' } })
    const net = ['--label', label, '--label', 'com.docker.compose.network=back']
    await docker('network', 'create', ...net, `${folder.name}_back`)
    await docker('network', 'connect', `${folder.name}_back`, db ?? '')
    expect(await seen()).toEqual(WELL)
  })
})

describe('by itself', () => {
  test('unhealthy, although frozen: with the healthcheck output, but no secret', async () => {
    const [db] = await idsOf('db')
    await docker('exec', db ?? '', 'touch', '/tmp/sick')
    await until('the healthcheck fails', async () => {
      const { code, drift } = await seen()
      return code === 5 && drift['db'] === 'it is unhealthy: it says •••' ? true : JSON.stringify(drift)
    })
    expect((await status()).stdout).toMatch(/\ndb \(held\) +v1 +busybox:1 +1\/1 +unhealthy /)
    await docker('exec', db ?? '', 'rm', '/tmp/sick')
    await until('it is healthy again', async () => ((await seen()).code === 0 ? true : 'not yet'))
  })

  test('restarted: although it runs at the time of the check', async () => {
    const [worker] = await idsOf('worker')
    await docker('exec', worker ?? '', 'touch', '/tmp/end')
    await until('it has been restarted', async () => {
      const { drift } = await seen()
      return /^it keeps exiting: restarted once, last \d+ s ago$/.test(drift['worker'] ?? '')
        ? true
        : JSON.stringify(drift)
    })
    expect((await status()).stdout).toMatch(/\nworker +v1 +busybox:1 +1\/1 +running +1 /)
    await docker('rm', '-f', worker ?? '')
    await heal()
  })
})

test('an interrupted release is reported, with its containers, until the next deploy', async () => {
  writePage(folder, 'two')
  const app = JSON.parse(folder.read('compose.yaml'))
  const slow = { ...app.services.web, healthcheck: { test: ['CMD', 'sleep', '60'], interval: '60s', timeout: '90s' } }
  folder.write('compose.yaml', JSON.stringify({ ...app, services: { ...app.services, web: slow } }))
  const before = await idsOf('web')
  const running = folder.startStagecraft(['deploy', '--version', 'v2'])
  await until('web is replaced', async () => {
    const now = await folder.containers()
    const web = now.find(({ service, state }) => service === 'web' && state === 'running')
    return web && !before.includes(web.id) ? true : 'not yet'
  })
  const underWay = await status()
  expect(underWay.stdout).toMatch(/\nv2 \(rel-[\d-]+\) is under way: running rollout\n/)
  expect(underWay.stdout).toMatch(/\nlock: local is locked: deploy of v2 \(rel-[\d-]+\) by /)
  await running.signal('KILL')
  await running.done
  await until('it is interrupted', async () => {
    const { stdout } = await status()
    return stdout.includes('was interrupted in rollout: the next deploy, rollback or prune undoes it\n') ? true : stdout
  })
  const { code, stdout } = await status()
  expect(code).toBe(5)
  expect(stdout).toMatch(/\n {2}web +it belongs to v2 \(rel-[\d-]+\), which was interrupted in rollout\n/)
  expect(stdout).toMatch(/\nweb +v2 /)
  expect(stdout).toMatch(/\n {2}rel-[\d-]+ +local +v2 +interrupted in rollout +/)
  const list = await folder.stagecraft(['releases', 'list', '--limit', '1'])
  expect(list.stdout).toContain('interrupted in rollout')

  folder.write('compose.yaml', JSON.stringify(app))
  await heal()
  expect((await folder.stagecraft(['releases', 'list'])).stdout).not.toContain('interrupted')
})

test('it says if nothing has been deployed; an unreachable engine is exit 8, with what is known', async () => {
  empty.write('compose.yaml', JSON.stringify({ services: { web: { image: 'busybox:1', ...QUICK_STOP } } }))
  const nothing = await empty.stagecraft(['status'])
  expect(nothing).toEqual({
    code: 5,
    stdout: 'nothing has been deployed to local yet\n\nlock: local is free\n',
    stderr: '',
  })
  const away = await folder.stagecraft(['status'], { env: { DOCKER_HOST: 'unix:///nowhere.sock' } })
  expect(away.code).toBe(8)
  expect(away.stdout).toMatch(
    /^local: v1 \(rel-[\d-]+\) live since .*; what runs is unknown: the engine does not answer\n\n {2}ID /,
  )
  expect(away.stdout).toEndWith('\nlock: local is free\n')
  expect(away.stderr).toStartWith('Cannot reach the Docker engine: ')
  const json = await folder.stagecraft(['status', '--json'], { env: { DOCKER_HOST: 'unix:///nowhere.sock' } })
  const objects = json.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line)) // one per line
  expect(objects).toMatchObject([
    { type: 'status', engine: 'unreachable', as_released: false, services: [], serving: { version: 'v1' } },
    { type: 'finished', exit: 8, error: { kind: 'unreachable' } },
  ])
})
