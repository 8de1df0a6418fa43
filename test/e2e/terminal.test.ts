import { beforeAll, describe, expect, test } from 'bun:test'
import { quotePosix } from '../../lib/util/format.ts'
import { host } from '../support/lab.ts'
import {
  type App,
  deployVersionOne,
  expectPage,
  expectPhases,
  idle,
  page,
  releases,
  sharedFolder,
  until,
  writeApp,
  writePage,
} from './app.ts'

// A person at a terminal: Ctrl-C, twice, and a terminal that goes away. script(1) makes the terminal, on the engine's machine.
const h1 = host('h1')
const folder = sharedFolder(h1, 'terminal')

const port = await h1.freePort()
const app: App = { services: { web: page(port, { volumes: ['/data'] }), other: idle } }
beforeAll(() => deployVersionOne(folder, app))

const CTRL_C = '\x03'

/** Runs a deploy on a terminal of its own. */
function deployOnTerminal(version: string) {
  const line = [h1.binary(), 'deploy', '--version', version, '--verbose'].map(quotePosix).join(' ')
  const script = 'cd "$0" && echo $$ >terminal.pid && exec env --default-signal=INT,HUP script -qefc "$1" /dev/null'
  const child = Bun.spawn(h1.argvOf(['sh', '-c', script, folder.path, `exec ${line}`]), {
    env: h1.environment,
    ...{ stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' },
  })
  let printed = ''
  const text = (async () => {
    const decoder = new TextDecoder()
    for await (const chunk of child.stdout) printed += decoder.decode(chunk, { stream: true })
  })()
  return {
    press: (key: string) => {
      child.stdin.write(key)
      child.stdin.flush()
    },
    /** The window is closed. */
    close: () => h1.exec(['sh', '-c', 'kill -9 "$(cat terminal.pid)"'], { cwd: folder.path }),
    shows: (what: string) => until(`the terminal shows ${what}`, () => printed.includes(what) || printed),
    output: () => printed,
    ended: async () => {
      await text
      return child.exited
    },
  }
}

const what = async () => (await folder.containers()).map(({ service, image, state }) => ({ service, image, state }))
const unready = { test: ['CMD', 'false'], interval: '1s', retries: 100 }

/** Changes web, so that the deploy waits for it in the gate; web takes that long to stop. */
function changeWeb(changed: string, grace = '3s'): void {
  const slow = { stop_signal: 'SIGTERM', stop_grace_period: grace, environment: { CHANGED: changed } }
  writeApp(folder, {
    services: { web: page(port, { volumes: ['/data'], healthcheck: unready, ...slow }), other: idle },
  })
}

async function webIsReplaced(first: string | undefined): Promise<void> {
  await until('the new web runs', async () => {
    const web = (await folder.containers()).find(({ service }) => service === 'web')
    return (web !== undefined && web.id !== first && web.state === 'running') || `it is ${web?.id} ${web?.state}`
  })
}

const webNow = async () => (await folder.containers()).find(({ service }) => service === 'web')?.id

describe('on a terminal', () => {
  test('Ctrl-C says what happens now, and the previous release stays live', async () => {
    const before = await what()
    const first = await webNow()
    changeWeb('once')
    const terminal = deployOnTerminal('v-once')
    await webIsReplaced(first)
    terminal.press(CTRL_C)
    await terminal.shows('interrupted: undoing what was begun')
    expect(await terminal.ended()).toBe(130)
    expect(terminal.output()).toContain('Cannot finish the release: ended by signal 2')
    expectPhases(folder, 'v-once', 'rollout')
    expect(await what()).toEqual(before)
    await expectPage(folder, port, 'version one')
  })

  test('Ctrl-C does not reach the commands that Stagecraft runs: they have no terminal', async () => {
    const marker = `sleep 630.${process.pid}`
    folder.write('web/Dockerfile', `FROM busybox:1\nRUN printf 'under %s\\n' way; ${marker}\n`)
    writeApp(folder, app)
    const terminal = deployOnTerminal('v-build')
    await terminal.shows('under way')
    const { stdout } = await h1.exec(['ps', '-e', '-o', 'tty=,args='])
    const ours = stdout.split('\n').filter((row) => row.includes(folder.path) && row.includes('compose'))
    expect(ours.length).toBeGreaterThan(0)
    expect(ours.filter((row) => !row.startsWith('?'))).toEqual([])
    terminal.press(CTRL_C)
    expect(await terminal.ended()).toBe(130)
    writePage(folder, 'version one')
  })

  test('a second Ctrl-C ends it at once', async () => {
    const first = await webNow()
    changeWeb('twice', '30s')
    const terminal = deployOnTerminal('v-twice')
    await webIsReplaced(first)
    terminal.press(CTRL_C)
    await terminal.shows('a second signal stops at once')
    terminal.press(CTRL_C)
    const pressed = performance.now()
    expect(await terminal.ended()).toBe(130)
    expect(performance.now() - pressed).toBeLessThan(15_000) // the engine stops web for 30 s
    expect(terminal.output()).not.toContain('Cannot finish')
    expect(releases(folder).at(-1)?.phases['rollout']).toBe('running')
    writeApp(folder, app)
    const { stderr } = await folder.stagecraft(['deploy', '--version', 'v2', '--wait', '2m'])
    expectPhases(folder, 'v2')
    expect(stderr).toContain('v-twice')
    await expectPage(folder, port, 'version one')
  })
})

test('a terminal that disappears: the changes are undone completely', async () => {
  const before = await what()
  const first = await webNow()
  changeWeb('gone')
  const terminal = deployOnTerminal('v-gone')
  await webIsReplaced(first)
  await terminal.close()
  await terminal.ended()
  await until('the release is written', () => {
    const last = releases(folder).at(-1)
    return (last?.version === 'v-gone' && last.phases['rollout'] === 'failed') || JSON.stringify(last)
  })
  expectPhases(folder, 'v-gone', 'rollout')
  expect(await what()).toEqual(before)
  await expectPage(folder, port, 'version one')
})
