import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { sealRelease } from '../../lib/cli/distribution/sums.ts'
import { version } from '../../package.json'
import { fakeRelease, KEY, OTHER_PUBLIC_KEY, PUBLIC_KEY } from '../fakes/release.ts'
import type { Ran } from '../support/engine.ts'
import { host, isUp, LAB_DIR, LAB_NET } from '../support/lab.ts'
import { serveFolder } from '../support/serve-folder.ts'
import { expectCode, page, writeApp, writePage } from './app.ts'

// examples/github/action, step by step as a runner does it: on h1, with a home of its own, which deploys to h3 by ssh.
const ROOT = join(import.meta.dir, '../..')
const ACTION = 'examples/github/action'
const HERE = `stagecraft-linux-${process.arch}`
const SHELLS = { sh: ['sh', '-e'], bash: ['bash', '--noprofile', '--norc', '-eo', 'pipefail'] }

type Step = { name: string; if?: string; env: Record<string, string>; run: string }
type Inputs = Record<string, string>
const action: { inputs: Record<string, { default?: string }>; runs: { steps: Step[] } } = parse(
  readFileSync(join(ROOT, ACTION, 'action.yml'), 'utf8'),
)

describe.skipIf(!isUp('h1') || !isUp('h3'))('the action', () => {
  const [runner, server] = [host('h1'), host('h3')]
  let release: string
  const [folder, jobs] = [runner.folder('action'), runner.folder('action-jobs')]
  // Where a step that does not need Stagecraft itself installs from.
  let small: ReturnType<typeof fakeRelease>
  let webs: ReturnType<typeof serveFolder>[]
  let inputs: Inputs
  let port: number

  beforeAll(async () => {
    release = mkdtempSync(join(tmpdir(), 'stagecraft-action-'))
    small = fakeRelease(version)
    copyFileSync(join(ROOT, 'dist/stagecraft'), join(release, HERE))
    sealRelease(release, { version, key: KEY })
    chmodSync(release, 0o755)
    webs = [release, small.path].map((path) => serveFolder(path, `${LAB_NET}.1`))
    inputs = {
      releases: webs[0]?.url ?? '',
      version,
      key: PUBLIC_KEY,
      'ssh-key': readFileSync(join(LAB_DIR, 'ssh/id'), 'utf8').replaceAll('\n', '\r\n'),
      'known-hosts': readFileSync(join(LAB_DIR, 'ssh/known_hosts'), 'utf8'),
      directory: folder.path,
    }
    port = await server.freePort()
    writePage(folder, 'by the action')
    writeApp(folder, {
      project: { name: folder.name },
      environments: { prod: { hosts: [`root@${server.ip}`], root: '/srv/stagecraft' } },
      services: { web: page(port) },
    })
    await server.exec([
      'sh',
      '-c',
      'mkdir -p /srv/stagecraft && chgrp docker /srv/stagecraft && chmod 2770 /srv/stagecraft',
    ])
  })
  afterAll(async () => {
    await Promise.all(webs.map((web) => web.stop()))
    rmSync(release, { recursive: true, force: true })
    small.remove()
    await jobs.cleanUp()
    await server.cleanUp(folder.name)
    await server.exec(['rm', '-rf', `/srv/stagecraft/${folder.name}`])
    await folder.cleanUp()
  })

  /** Runs the steps until one fails. A job has a home, a folder for temporary files and the action's repository. */
  async function job(name: string, shell: keyof typeof SHELLS, given: Inputs): Promise<Ran> {
    const all = {
      ...Object.fromEntries(Object.entries(action.inputs).map(([key, input]) => [key, input.default ?? ''])),
      ...given,
    }
    const [at, here] = [join(jobs.path, name), join(jobs.here, name)]
    for (const each of ['home', 'temp']) mkdirSync(join(here, each), { recursive: true })
    cpSync(join(ROOT, ACTION), join(here, 'repository', ACTION), { recursive: true })
    copyFileSync(join(ROOT, 'install.sh'), join(here, 'repository/install.sh'))
    const env: Record<string, string> = {
      ...{ HOME: '/elsewhere', RUNNER_TEMP: `${at}/temp`, GITHUB_ACTION_PATH: `${at}/repository/${ACTION}` },
      ...{ GITHUB_ENV: `${at}/env`, GITHUB_PATH: `${at}/path` },
    }
    const lines = (file: string) =>
      jobs.exists(`${name}/${file}`) ? jobs.read(`${name}/${file}`).split('\n').filter(Boolean) : []
    const ran: Ran = { code: 0, stdout: '', stderr: '' }
    for (const step of action.runs.steps.filter((each) => isWanted(each, all))) {
      const own = Object.fromEntries(Object.entries(step.env).map(([key, value]) => [key, inputOf(value, all)]))
      const added = Object.fromEntries(
        lines('env').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
      )
      // The home of root on h1, for this process alone.
      const inHome = [
        'unshare',
        '--mount',
        'sh',
        '-c',
        'mount --bind "$0/home" /root && PATH=$1:$PATH && shift && exec "$@"',
        at,
      ]
      const argv = [...inHome, lines('path').join(':') || '/none', ...SHELLS[shell], '-c', step.run]
      const { code, stdout, stderr } = await runner.exec(argv, { cwd: folder.path, env: { ...env, ...added, ...own } })
      ran.stdout += stdout
      ran.stderr += stderr
      ran.code = code
      if (code !== 0) break
    }
    const [, agent] =
      lines('env')
        .join('\n')
        .match(/^SSH_AGENT_PID=(\d+)$/m) ?? []
    if (agent) await runner.exec(['kill', agent])
    return ran
  }

  test.each(['sh', 'bash'] as const)(
    'installs, has the key in an agent, and deploys over SSH; its scripts run in %s',
    async (shell) => {
      const command = `deploy --env prod\n--version ${shell}`
      const ran = await job(shell, shell, { ...inputs, command })
      expectCode(ran, 0)
      expect(ran.stderr).toContain('signature verified by openssl')
      expect((await server.fetch(port)).body.trim()).toBe('by the action')
      const known = jobs.read(`${shell}/home/.ssh/known_hosts`)
      expect(known).toBe(inputs['known-hosts'] ?? '')
      // The key is in no file, and nothing was printed of it.
      const key = readFileSync(join(LAB_DIR, 'ssh/id'), 'utf8').split('\n')[2] ?? ''
      expect(ran.stdout + ran.stderr).not.toContain(key)
      expect((await jobs.exec(['grep', '-rlF', key, shell])).stdout).toBe('')
    },
  )

  test('no input becomes a command', async () => {
    const hostile = '$(touch pwned) `touch pwned`; touch pwned & * "$HOME"'
    const ran = await job('hostile', 'sh', { ...inputs, command: `status ${hostile}` })
    expect([ran.code, ran.stderr]).toEqual([
      2,
      expect.stringContaining('Cannot run "status": unexpected argument "$(touch"'),
    ])
    for (const name of ['version', 'releases', 'key'])
      expect((await job(name, 'sh', { ...inputs, [name]: hostile })).code).not.toBe(0)
    expect((await job('hosts', 'sh', { ...inputs, 'known-hosts': hostile, command: 'status' })).code).toBe(8)
    expect((await folder.exec(['sh', '-c', 'ls -R . "$0" | grep pwned', jobs.path])).stdout).toBe('')
  })

  test.each([
    [
      'another version than the pinned one',
      { version: '9.9.9' },
      `version ${version} is published there, and not 9.9.9`,
    ],
    ['a release that another key has signed', { key: OTHER_PUBLIC_KEY }, 'the signature of SHA256SUMS is wrong'],
    ['a key without known hosts', { 'known-hosts': '' }, '::error::known-hosts is empty'],
    ['what is no key', { 'ssh-key': 'nonsense' }, 'error in libcrypto'],
  ])('stops at %s', async (name, wrong, said) => {
    const ran = await job(name.replaceAll(' ', '-'), 'sh', { ...inputs, releases: webs[1]?.url ?? '', ...wrong })
    expect(ran.code).toBe(1)
    expect(ran.stdout + ran.stderr).toContain(said)
  })
})

/** The one form of `if:` that the action has. */
function isWanted({ if: when }: Step, inputs: Inputs): boolean {
  if (when === undefined) return true
  const [, name = ''] = /^inputs\.([\w-]+) != ''$/.exec(when) ?? []
  expect(Object.keys(inputs)).toContain(name)
  return inputs[name] !== ''
}

function inputOf(text: string, inputs: Inputs): string {
  const [, name = ''] = /^\$\{\{ inputs\.([\w-]+) \}\}$/.exec(text) ?? []
  expect(Object.keys(inputs)).toContain(name)
  return inputs[name] ?? ''
}
