import { afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import { expectSteady, openTmux, steady, type Terminal, type Wishes } from '../support/tmux.ts'
import { type App, deploy, expectPhases, idle, QUICK_STOP, releases, sharedFolder, until, writeApp } from './app.ts'

// What a person sees, as tmux records it.
const h1 = host('h1')
const folder = sharedFolder(h1, 'screens')
const opened: Terminal[] = []
afterEach(() => {
  for (const terminal of opened.splice(0)) terminal.close()
})

function open(args: readonly string[], wishes?: Wishes): Terminal {
  const terminal = openTmux(h1, folder, args, wishes)
  opened.push(terminal)
  return terminal
}

const REASON = "wget: can't connect to remote host (127.0.0.1): Connection refused"
const asks = (command: string) => ({ test: ['CMD-SHELL', command], interval: '1s', retries: 2 })
const HEALTHY = asks('test -f /tmp/ready')
/** Undoing takes as long as this takes to stop. */
const SLOW = { stop_signal: 'TERM', stop_grace_period: '10s' }
const SICK = asks(`echo "${REASON}"; exit 1`)
/** It has failed once, and the second time takes a minute: time for a person to press a key. */
const SICK_SLOWLY = { ...asks('[ ! -e /tmp/once ] || sleep 60; touch /tmp/once; exit 1'), timeout: '90s' }
/** The same of one that becomes healthy. */
const HEALTHY_SLOWLY = { ...HEALTHY, interval: '5s' }

/** `pause`: seconds after each line of the build; the rest is of the service. */
type More = { readonly pause?: number; readonly [key: string]: unknown }

/** `web` is built, which takes some seconds, and is ready after two more, unless its healthcheck fails for ever. */
function write(version: string, healthcheck: object, { pause = 0.1, ...more }: More = {}): void {
  const steps = `for i in 1 2 3 4 5 6 7 8; do echo "compiling $i of 8 for ${version} of ${folder.name}"; sleep ${pause}; done`
  const command = 'touch /tmp/ready; while :; do date; sleep 1; done'
  folder.write('web/Dockerfile', `FROM busybox:1\nRUN ${steps}\nCMD ["sh", "-c", ${JSON.stringify(command)}]\n`)
  const app: App = { services: { web: { build: './web', healthcheck, ...QUICK_STOP, ...more }, worker: idle } }
  writeApp(folder, app)
}

const run = (version: string, healthcheck: object, { more, ...wishes }: Wishes & { more?: More } = {}) => {
  write(version, healthcheck, more)
  return open(['deploy', '--version', version], wishes)
}

const FAILS = [
  'push          completed   0.0s  nothing to push: this engine built the images',
  'migrate_pre   completed   0.0s  no databases are configured',
  '  web     recreate  image changed',
  '  web     failed    its healthcheck says unhealthy',
  '  web     restore',
  'rollout       failed   0.0s',
  'migrate_post  skipped',
  'finalize      skipped',
  'Cannot start web: its healthcheck says unhealthy',
]

beforeAll(async () => {
  write('v1', HEALTHY)
  await deploy(folder, 'v1')
})

describe.skipIf(Bun.which('tmux') === null)('on a terminal', () => {
  test('a deploy draws what it builds and what it waits for; one line per phase stays', async () => {
    const terminal = run('v2', HEALTHY_SLOWLY, { more: { pause: 0.6 } })
    const build = await terminal.shows(/compiling [2-8] of 8 for v2/)
    expect(build).toMatch(/^release .* v2 → local\nbuild +\S running +\d+\.\ds\n( {2}\| .*\n?){1,4}$/)
    expect(await terminal.shows(/web +starting/)).toMatch(/rollout +\S running +\d+\.\ds\n {2}web +starting/)
    expect(await terminal.ended()).toBe(0)
    expect(steady(terminal.text()).replaceAll(/ +\n/g, '\n').split('\n')).toEqual([
      'release rel-20261122-080225643  v2 → local',
      'build         completed   0.0s  built web',
      'push          completed   0.0s  nothing to push: this engine built the images',
      'migrate_pre   completed   0.0s  no databases are configured',
      'rollout       completed   0.0s  1 recreated, 1 unchanged',
      'migrate_post  completed   0.0s  no databases are configured',
      'finalize      completed   0.0s  2 services run as released',
      'v2 is live in local (rel-20261122-080225643)',
    ])
    expect(terminal.coloured()).toContain('\u001b[')
    expect([terminal.wrapped(), terminal.isCursorShown()]).toEqual([0, true])
    expectSteady(terminal)
  })

  test.each<[string, Wishes]>([
    ['80 columns', {}],
    ['300 columns', { columns: 300, rows: 50 }],
    ['NO_COLOR', { env: { NO_COLOR: '1' } }],
    ['no Unicode', { env: { LANG: 'C' } }],
    ['a dumb terminal', { columns: 100, env: { TERM: 'dumb' } }],
    ['CI', { columns: 100, env: { CI: 'true' } }],
  ])('a deploy that fails, with %s', async (what, wishes) => {
    const version = `bad-${what.replaceAll(/\W/g, '')}`
    const terminal = run(version, SICK, wishes)
    expect(await terminal.ended()).toBe(5)
    const lines = steady(terminal.text())
      .replace(/^ {2}(?:web|[a-z_]+): .*\n/gm, '') // progress lines, where nothing is drawn
      .split('\n')
      .map((line) => line.trimEnd())
    const from = lines.indexOf(FAILS[0] ?? '')
    const steps = lines.slice(from, from + FAILS.length).map((line) => line.replace('; healthcheck changed', ''))
    expect(steps).toEqual(FAILS)
    expect(terminal.text().replaceAll(/\s+/g, ' ')).toContain(REASON)
    const isLive = terminal.seen.some((screen) => screen.includes(' running '))
    const frames = terminal.seen.join('\n')
    expect(isLive).toBe(wishes.env?.['TERM'] === undefined && wishes.env?.['CI'] === undefined)
    if (what === 'no Unicode') expect(frames).toMatch(/^[ -~\n]*$/)
    if (what === 'NO_COLOR') expect(terminal.coloured()).not.toContain('\u001b')
    expect([terminal.wrapped(), terminal.isCursorShown()]).toEqual([0, true])
    if (isLive) expectSteady(terminal)
  })

  test('at 20 columns nothing is lost', async () => {
    const terminal = run('bad-narrow', SICK, { columns: 20 })
    await terminal.shows(/rollout\n {2}web/)
    expect(await terminal.ended()).toBe(5)
    const words = terminal.text().replaceAll(/\s+/g, ' ')
    for (const what of [
      'rollout failed',
      'Cannot start web: its healthcheck says unhealthy',
      'nothing to push: this engine built the images',
    ])
      expect(words).toContain(what)
    expect(terminal.text()).not.toContain(' rollout\n')
    expect(terminal.isCursorShown()).toBe(true)
  })

  test('after Ctrl-C the cursor is back, and nothing is left of what was drawn; nor after a second one', async () => {
    const terminal = run('stopped', SICK_SLOWLY, { more: SLOW })
    await terminal.shows(/healthcheck 1 of 2/)
    terminal.press('C-c')
    await terminal.shows('interrupted: undoing what was begun')
    expect(await terminal.ended()).toBe(130)
    expect(terminal.text()).not.toMatch(/ running +\d|\^C/)
    expect(terminal.text()).toContain('Cannot finish the release: ended by signal 2')
    expect(terminal.isCursorShown()).toBe(true)
    const twice = run('twice', SICK_SLOWLY, { more: SLOW })
    await twice.shows(/healthcheck 1 of 2/)
    twice.press('C-c')
    await twice.shows('a second signal stops at once')
    twice.press('C-c')
    expect(await twice.ended()).toBe(130)
    expect(twice.isCursorShown()).toBe(true)
    write('v3', HEALTHY)
    await deploy(folder, 'v3', 0, ['--wait', '2m'])
  })

  test('a stopped terminal does not stop the work', async () => {
    const terminal = run('v4', HEALTHY, { more: { pause: 0.6 } })
    await terminal.shows('compiling 1 of 8')
    terminal.press('C-s')
    await until('the build goes on', async () => {
      const { stdout } = await h1.docker(['image', 'ls', '-q', `${folder.name}-web:v4`])
      return stdout.trim() !== '' || 'it has not ended'
    })
    terminal.press('C-q')
    expect(await terminal.ended()).toBe(0)
    expectPhases(folder, 'v4')
    expect(terminal.text().match(/^build /gm)).toEqual(['build '])
    expect([terminal.text().includes(' running '), terminal.isCursorShown()]).toEqual([false, true])
  })

  test('logs -f continues across a rollout, a shell of exec is untouched, and down asks', async () => {
    const logs = open(['logs', '-f', '--lines', '1', 'web'])
    await logs.shows(/^web-1 \| /m)
    const rollout = run('v5', HEALTHY)
    expect(await rollout.ended()).toBe(0)
    const [id = ''] = (await folder.containers()).filter(({ service }) => service === 'web').map((each) => each.id)
    const { stdout } = await h1.docker(['logs', '--tail', '1', id])
    await logs.shows(stdout.trim())
    logs.press('C-c')
    expect(await logs.ended()).toBe(130)
    expect(
      logs
        .text()
        .split('\n')
        .filter((line) => !/^(web-1 \| .*|\^C|)$/.test(line)),
    ).toEqual([])
    const shell = open(['exec', 'web', '--', 'sh'])
    await shell.shows('/ #')
    shell.press('tty; echo $((6 * 7))', 'Enter')
    await shell.shows(/\/dev\/pts\/\d+\n42\n/)
    shell.press('exit 3', 'Enter')
    expect([await shell.ended(), shell.isCursorShown()]).toEqual([3, true])
    const down = open(['down'])
    const asked = await down.shows('yes or no (no):')
    const names = ['web', 'worker'].map((service) => `${folder.name}-${service}-1`)
    expect(asked.replaceAll(/,\n +/g, ', ').split('\n')).toEqual([
      'would remove:',
      `  containers  ${names.join(', ')}`,
      `  networks    ${folder.name}_default`,
      'Take "local" down? yes or no (no):',
    ])
    down.press('yes', 'Enter')
    expect(await down.ended()).toBe(0)
    expect(await folder.containers()).toEqual([])
    expect([down.isCursorShown(), releases(folder).at(-1)?.version]).toEqual([true, 'v5'])
  })
})
