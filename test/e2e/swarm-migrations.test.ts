import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { canSwarm, MANAGERS, SwarmApp, said } from '../scenes/swarm.ts'
import { host } from '../support/lab.ts'
import { expectCode, expectPhasesOf } from './app.ts'

// Migrations on a Swarm of three managers: what they run with, when, and what they leave.
describe.skipIf(!canSwarm)('migrations on a Swarm', () => {
  const app = new SwarmApp('swarm-migrations')
  const { folder } = app
  const [first] = MANAGERS
  const script = (more: string) => ['sh', '-c', `echo "$WORD $(cat /run/secrets/token)"; hostname -i | wc -w; ${more}`]

  function write(word: string, before: string, after = 'echo after'): void {
    const db = said('db', { deploy: { replicas: 1, placement: { constraints: ['node.hostname == h9'] } } })
    const web = said(word, { secrets: ['token'], depends_on: { db: { condition: 'service_healthy' } } })
    const databases = {
      one: { migrations: { engine: 'command', service: 'web', command: script(before) } },
      two: { migrations: { engine: 'command', service: 'web', command: script(after), strategy: 'post_deploy' } },
    }
    app.write({ db, web }, { secrets: { token: { environment: 'TOKEN' } } }, { databases })
  }

  const deploy = (version: string) =>
    folder.stagecraft(['deploy', '--version', version], { env: { TOKEN: 'a-token-of-ours' } })

  /** Its services, also those that are no service of the release. */
  async function services(): Promise<string[]> {
    const filter = ['--filter', `label=com.docker.stack.namespace=${app.stack}`]
    const { stdout } = await host(first).docker(['service', 'ls', ...filter, '--format', '{{.Name}}'])
    return stdout.trim().split('\n').toSorted()
  }

  beforeAll(() => app.begin())
  afterAll(() => app.end())

  test('run before and after the rollout, with the new environment and secrets, once', async () => {
    write('v1', 'sleep 1; echo before >&2')
    const ran = await deploy('v1')
    expectCode(ran, 0)
    const lines = ran.stderr.split('\n').map((line) => line.trim().replace(/ \(.*/, '').replaceAll(/ +/g, ' '))
    const steps = lines.filter((line) => /^(db|web) (create|healthy)|^(one|two) |^\| /.test(line))
    const shown = steps.map((line) => line.replace(/ sh -c .*/, ''))
    expect(shown.map((line) => line.replace(/ new$/, ''))).toEqual([
      ...['db create', 'db healthy', 'one migrate', '| v1 •••', '| 1', '| before', 'one done'],
      ...['web create', 'web healthy', 'two migrate', '| v1 •••', '| 1', '| after', 'two done'],
    ])
    expect(await services()).toEqual([`${app.stack}_db`, `${app.stack}_web`])
    await app.isWell()
  })

  test('that fail roll nothing out, and are removed', async () => {
    const before = await app.tasks()
    write('v2', 'echo no such table; exit 3')
    const ran = await deploy('v2')
    expectCode(ran, 5)
    expect(ran.stderr).toContain('Cannot migrate one: sh -c ')
    expect(ran.stderr).toMatch(/ exited with 3\ntask of \S+_migrate-one-\S+ on h\d: failed\n/)
    expect(ran.stderr).toMatch(/last log lines:\n {2}v2 •••\n {2}1\n {2}no such table\n/)
    expectPhasesOf((await app.releases()).at(-1), 'v2', 'migrate_pre')
    expect([await app.tasks(), await services()]).toEqual([before, [`${app.stack}_db`, `${app.stack}_web`]])
  })

  test('that a signal ends are removed; by hand they run with the live release', async () => {
    write('v3', 'trap exit TERM; sleep 60 & wait')
    const running = folder.startStagecraft(['deploy', '--version', 'v3'], { env: { TOKEN: 'a-token-of-ours' } })
    while (!running.output().includes('| v3')) await Bun.sleep(50)
    await running.signal('INT')
    expectCode(await running.done, 130)
    expect(await services()).toEqual([`${app.stack}_db`, `${app.stack}_web`])
    write('v4', 'echo by hand')
    const run = ['migrate', 'run', '--database', 'one']
    const ran = await folder.stagecraft(run, { env: { TOKEN: 'a-token-of-ours' } })
    expectCode(ran, 0)
    expect(ran.stderr).toContain('| v1 •••')
    expect(ran.stderr).toContain('| by hand')
    await app.isWell()
  })
})
