import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { expectGolden } from '../support/golden.ts'
import { host, isUp } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { ENDS_SOON, expectCode, idle, makeRoot, QUICK_STOP, sharedFolder, until, writeApp } from './app.ts'

// Jobs on a server with Debian's cron, deployed from a laptop by a user without rights but the engine.
describe.skipIf(!isUp('h3'))('a job with a schedule', () => {
  const server = host('h3')
  const folder = sharedFolder(laptop('h3'), 'jobs')
  const root = `/srv/${folder.name}`
  const project = `${folder.name}-prod`
  const mine = `# mine\nSHELL=/bin/false\n0 1 * * * echo 50\\% "${folder.name}"\n`
  let started = false

  const sh = async (script: string, ...args: string[]) => (await server.exec(['sh', '-c', script, ...args])).stdout
  const crontab = () => sh('crontab -u deploy -l 2>/dev/null')
  /** Of this project: other tests may have lines there too. */
  const lines = async () => (await crontab()).split('\n').filter((line) => line.includes(`# stagecraft ${project} `))
  const change = (sed: string) => sh('{ crontab -u deploy -l 2>/dev/null; } | sh -c "$0" | crontab -u deploy -', sed)
  const jobs = async () => {
    const { stdout } = await folder.stagecraft(['status', '--json'])
    return JSON.parse(stdout.split('\n')[0] ?? '').schedules
  }
  /** Continues until there is a file `go`, and ends as `end` says. */
  const job = (version: string, end = '0') => ({
    image: 'busybox:1',
    command: ['sh', '-c', `echo ${version} $$TOKEN; until [ -e /data/go ]; do sleep 0.1; done; exit ${end}`],
    environment: { TOKEN: 'a-very-secret-token' },
    volumes: ['data:/data'],
    ...QUICK_STOP,
  })
  const write = (backup: object, web: object = idle, networks: object = {}) =>
    writeApp(folder, {
      services: { web: { ...web }, backup: { ...backup }, report: { image: 'busybox:1', command: ['true'] } },
      compose: { volumes: { data: {} }, networks },
      project: { name: folder.name },
      environments: { prod: { hosts: 'deploy@h3', root } },
    })
  const settings = (schedule: string, web: object = { rollout: { min_ready: '300ms' } }) => {
    const config = JSON.parse(folder.read('stagecraft.yml'))
    config.environments.prod.services = {
      web,
      backup: { job: { schedule } },
      report: { job: { schedule: '0 0 1 1 *' } },
    }
    folder.write('stagecraft.yml', JSON.stringify(config, null, 1))
  }
  const deploy = async (version: string, code = 0) => {
    const ran = await folder.stagecraft(['deploy', '--version', version])
    expectCode(ran, code)
    return ran
  }
  const data = (file: string) =>
    server.docker(['run', '--rm', '-v', `${project}_data:/data`, 'busybox:1', ...file.split(' ')])

  beforeAll(async () => {
    await makeRoot(server, root)
    started = (await server.exec(['sh', '-c', 'pgrep -x cron || { cron; exit 3; }'])).code === 3
    const add = '{ crontab -u deploy -l 2>/dev/null; cat; } | crontab -u deploy -'
    await server.exec(['sh', '-c', add], { stdin: mine })
  })

  afterAll(async () => {
    await change(`grep -v -e '${folder.name}' -e '^# mine$' -e '^SHELL=/bin/false$'`)
    if (started) await server.exec(['sh', '-c', 'kill "$(cat /run/crond.pid)"'])
    await server.cleanUp(project)
    await server.exec(['rm', '-rf', root])
  })

  test('is created by a deploy and started by cron, with the image, env and volumes of the release', async () => {
    write(job('one'))
    settings('* * * * *')
    await deploy('v1')
    const [backup = '', report = ''] = await lines()
    expect([backup.slice(0, 12), report.slice(0, 12)]).toEqual(['* * * * * d=', '0 0 1 1 * d='])
    expect(await crontab()).toContain(mine)
    expect(await crontab()).not.toContain('secret')
    await until(
      'cron starts the job',
      async () => ((await jobs())[0].running_since !== undefined ? true : 'it has not run'),
      240,
    )
    const running = await folder.stagecraft(['job', 'run', 'backup'])
    expectCode(running, 7)
    expectGolden('commands/job.md', 'running', running.stderr.replace(/since [\d-]+ [\d:]+/, 'since 2026-11-22 09:00'))
    expect((await folder.stagecraft(['logs', 'backup'])).stdout).toMatch(/^backup-1 \| one \S+\n$/)
    expectCode(await folder.stagecraft(['status']), 0)
  })

  test('finishes while a release replaces it, and its result is kept', async () => {
    write(job('two', '3'))
    settings('@yearly')
    const before = await lines()
    await deploy('v2')
    expect((await jobs())[0]).toMatchObject({ job: 'backup', schedule: '@yearly', running_since: expect.any(String) })
    expect((await lines()).map((line) => line.slice(0, 12))).toEqual(['0 0 1 1 * d=', '0 0 1 1 * d='])
    expect((await lines())[1]).toBe(before[1] ?? '')
    await data('touch /data/go')
    await until('it ends', async () => ((await jobs())[0].running_since === undefined ? true : 'it runs'))
    expect((await jobs())[0].last).toMatchObject({ exit_code: 0, version: 'v1' })
    await deploy('v2')
    expect((await jobs())[0].last).toMatchObject({ exit_code: 0, version: 'v1' })
    expect(
      (await server.docker(['ps', '-aq', '--filter', `name=${project}-backup`])).stdout.trim().split('\n'),
    ).toHaveLength(1)
  })

  test('job run is the job, its output and its exit code, which status shows', async () => {
    const ran = await folder.stagecraft(['job', 'run', 'backup'])
    expect(ran).toEqual({ code: 3, stdout: 'two a-very-secret-token\n', stderr: '' })
    const status = await folder.stagecraft(['status'])
    expectCode(status, 5)
    expect(status.stdout).toContain('its last run ended with exit code 3')
    expect(status.stdout).toMatch(/last lines of backup:\n {2}two \S+\n/)
    expect(status.stdout).not.toContain('a-very-secret-token')
    const unknown = await folder.stagecraft(['job', 'run', 'bakcup'])
    expectCode(unknown, 4)
    expectGolden('commands/job.md', 'unknown', unknown.stderr.replace('in v2', 'in v1'))
  })

  test('a release that fails changes nothing, and a rollback brings back job and schedule', async () => {
    const before = await lines()
    const network = { default: { labels: { step: 'three' } } } // it is recreated, and back again
    write(job('three'), { image: 'busybox:1', command: ['false'] }, network)
    settings('@daily', ENDS_SOON)
    await deploy('v3', 5)
    expect(await lines()).toEqual(before)
    expectCode(await folder.stagecraft(['job', 'run', 'backup']), 3)
    expectCode(await folder.stagecraft(['rollback', '--to-version', 'v1']), 0)
    expect((await lines()).map((line) => line.slice(0, 12))).toEqual(['* * * * * d=', '0 0 1 1 * d='])
    await change(`grep -v '# stagecraft ${project} '`)
    expect((await folder.stagecraft(['status'])).stdout).toContain('it is not in the crontab of deploy any more')
    expectCode(await folder.stagecraft(['rollback', '--to-version', 'v2']), 0)
    expect(await lines()).toHaveLength(2)
    expectCode(await folder.stagecraft(['down', '--yes']), 0)
    expect(await lines()).toEqual([])
    expect(await crontab()).toContain(mine)
  })
})
