import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { movedLines } from '../../lib/cli/commands/state-move.ts'
import { cleanUp } from '../support/clean-up.ts'
import { expectGolden } from '../support/golden.ts'
import { host, isUp } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { expectCode, QUICK_STOP } from './app.ts'

/** The root folder changes, for another user; recorded volumes are pruned; data belongs to a service. */
describe.skipIf(!isUp('h2') || !isUp('h1'))('whose an environment is, and where its data is', () => {
  const folder = laptop('h1').folder('owners')
  const engine = host('h2')
  const project = `${folder.name}-prod`
  const [one, two] = [`/srv/one-${folder.name}`, `/srv/two-${folder.name}`]
  const mark = `stagecraft-${project}`

  const write = (root: string, address: string, volumes = ['./uploads:/up', 'data:/data']) => {
    const db = { image: 'busybox:1', command: ['sleep', '1d'], volumes, secrets: ['token'], ...QUICK_STOP }
    const secrets = { token: { file: './token' } }
    folder.write('compose.yaml', JSON.stringify({ services: { db }, volumes: { data: {}, other: {} }, secrets }))
    const prod = { hosts: address, root, services: { db: { rollout: { min_ready: '0s' } } } }
    folder.write('stagecraft.yml', JSON.stringify({ project: { name: folder.name }, environments: { prod } }))
  }
  const run = (...args: string[]) => folder.stagecraft(args)
  const inside = async (...argv: string[]) => (await engine.docker(['exec', `${project}-db-1`, ...argv])).stdout.trim()

  beforeAll(async () => {
    for (const root of [one, two]) await engine.exec(['install', '-d', '-m', '2770', '-g', 'docker', root])
    folder.write('token', 'secret')
    await Bun.spawn(['chmod', '600', `${folder.path}/token`]).exited
    write(one, 'root@h2')
    expectCode(await run('deploy', '--version', 'v1'), 0)
    await inside('sh', '-c', 'echo precious >/up/db && chmod 600 /up/db && chown 70 /up/db')
  })
  afterAll(async () => {
    await cleanUp(engine, folder.name)
    await engine.exec(['rm', '-rf', one, two])
    await folder.cleanUp()
  })

  test('the record survives a prune of volumes, as long as a container runs', async () => {
    await engine.docker(['volume', 'rm', mark])
    write(two, 'root@h2')
    const { code, stderr } = await run('deploy')
    expect([code, stderr]).toEqual([
      9,
      expect.stringContaining(`its releases are kept in ${one}/${folder.name}/prod on h2`),
    ])
    write(one, 'root@h2')
    expectCode(await run('deploy', '--version', 'v2'), 0)
    const labels = await engine.docker(['volume', 'inspect', '--format', '{{json .Labels}}', mark])
    expect(JSON.parse(labels.stdout)).toEqual({
      'stagecraft.environment': 'prod',
      'stagecraft.host': 'h2',
      'stagecraft.root': `${one}/${folder.name}/prod`,
    })
  })

  test('everything that the environment needs moves to another root, no matter which user owns it', async () => {
    write(two, 'deploy@h2')
    expectCode(await run('state', 'move'), 0)
    expectCode(await run('deploy', '--version', 'v3'), 0)
    expect(await inside('cat', '/up/db', '/run/secrets/token')).toBe('precious\nsecret')
    expectCode(await run('rollback'), 0)
    expect(await inside('cat', '/up/db', '/run/secrets/token')).toBe('precious\nsecret')
    const { code, stdout } = await engine.exec(['cat', `${two}/${folder.name}/prod/data/uploads/db`])
    expect([code, stdout]).toEqual([0, 'precious\n'])
  })

  test('no service starts with another, empty volume or folder', async () => {
    for (const volumes of [
      ['./uploads:/up', 'other:/data'],
      ['./else:/up', 'data:/data'],
    ]) {
      write(two, 'deploy@h2', volumes)
      for (const command of ['plan', 'deploy']) expectCode(await run(command), 3)
    }
    await engine.docker(['volume', 'create', `${project}_other`])
    write(two, 'deploy@h2', ['./uploads:/up', 'other:/data'])
    expectCode(await run('deploy'), 0)
  })
})

test('files that are moved without a history are listed for each host', () => {
  const here = { host: 'a', root: '/srv/two/shop/prod' }
  const mounted = [{ host: 'a', from: '/one/shop/prod', to: '/srv/two/shop/prod' }]
  const lines = movedLines('shop-prod', { from: here, to: here, releases: 0, mounted })
  expectGolden('commands/state.md', 'mounted', lines.join('\n'))
})
