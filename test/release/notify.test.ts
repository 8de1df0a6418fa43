import { afterAll, afterEach, beforeEach, describe, expect, spyOn, test } from 'bun:test'
import type { ReleaseDocument } from '../../lib/record/release-json.ts'
import { slackText } from '../../lib/release/notify.ts'
import { type FakeProject, story } from '../fakes/project.ts'
import { newShop, told } from '../scenes/shop.ts'
import { lineProblem } from '../support/contract.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

/** What the server received, and its next answers; then 200. */
let got: { path: string; type: string | null; body: Record<string, unknown> }[] = []
let answers: (number | 'nothing')[] = []
const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  idleTimeout: 30,
  async fetch(request) {
    const { pathname: path } = new URL(request.url)
    got.push({
      path,
      type: request.headers.get('content-type'),
      body: (await request.json()) as (typeof got)[0]['body'],
    })
    const answer = answers.shift() ?? 200
    if (answer === 'nothing') await Bun.sleep(20_000)
    return new Response('', { status: Number(answer) || 200, headers: { location: '/elsewhere' } })
  },
})
afterAll(() => server.stop(true))
beforeEach(() => {
  ;[got, answers] = [[], []]
})

const SECRET = '/services/T0AB12/x9k2mvq7'

const URL_OF_SERVER = `http://127.0.0.1:${server.port}${SECRET}`

/** A document with fewer of the fields of `releases show --json`. */
function shortened({ release, details, ...rest }: Record<string, unknown>): string {
  const { id, environment, version, status } = release as Record<string, unknown>
  const { project, phases, images } = details as Record<string, object>
  const named = (record: object = {}) =>
    Object.fromEntries(
      Object.keys(record)
        .slice(0, 1)
        .map((key) => [key, {}]),
    )
  const short = { project, phases: named(phases), images: named(images) }
  const { v, type, command, previous, live } = rest
  const all = {
    v,
    type,
    status: rest['status'],
    command,
    release: { id, environment, version, status },
    details: short,
  }
  return JSON.stringify({ ...all, previous, live }, null, 2)
}

/** A shop that notifies the server, with these variables in the environment of the command. */
function shop(notify: unknown, variables: Readonly<Record<string, string>> = {}): FakeProject {
  const project = temporary(newShop('notify'))
  project.write('stagecraft.yml', JSON.stringify({ environments: { local: { notify } } }))
  Object.assign(process.env, { DEPLOY_WEBHOOK: URL_OF_SERVER, ...variables })
  return project
}
afterEach(() => {
  delete process.env['DEPLOY_WEBHOOK']
  delete process.env['SLACK_WEBHOOK']
})
const ONE = { url_env: 'DEPLOY_WEBHOOK' }
const warnings = (events: Parameters<typeof story>[0]) =>
  story(events).flatMap((line) => (line.startsWith('  warning: ') ? [line.trim()] : []))

test('a completed release is sent once, as `releases show --json` has it', async () => {
  const project = shop(ONE)
  const { release } = await project.deploy()
  expect(got.map(({ path, type }) => [path, type])).toEqual([[SECRET, 'application/json']])
  expect(got[0]?.body).toMatchObject({
    ...{ v: 1, type: 'release', status: 'completed', command: 'deploy' },
    release: { id: release?.id, version: 'v1', status: 'completed', current: true },
    details: { project: 'shop', phases: { finalize: {} } },
    previous: null,
    live: { id: release?.id, version: 'v1' },
  })
  expectGolden('core/notify.md', 'document', shortened(got[0]?.body ?? {}))
  await project.deploy()
  await project.rollback()
  expect(got.map(({ body }) => lineProblem(body))).toEqual([undefined, undefined, undefined])
  expect(got.map(({ body }) => [body['command'], body['previous'], body['live']])).toMatchObject([
    ['deploy', null, { version: 'v1' }],
    ['deploy', { version: 'v1' }, { version: 'v2' }],
    ['rollback', { version: 'v2' }, { version: 'v1' }],
  ])
})

describe('a release that does not complete is sent too', () => {
  test('a failure, with its error and what is live', async () => {
    const project = shop([ONE])
    await project.deploy()
    project.engine.sources = { web: 'web two' }
    project.engine.behave = ({ content }) => (content === 'web two' ? { exit: 1, logs: 'no' } : undefined)
    await project.deploy()
    expect(got.at(-1)?.body).toMatchObject({
      status: 'failed',
      release: { status: 'failed', phase: 'rollout' },
      details: { error: { message: expect.stringContaining('Cannot start web') } },
      live: { version: 'v1' },
    })
  })

  test('one that a signal ended', async () => {
    const project = shop(ONE)
    const stop = new AbortController()
    const outcome = await project.deploy({
      onEvent: (event) => event.type === 'phase' && event.phase === 'push' && stop.abort(2),
      signal: stop.signal,
    })
    expect(outcome.error?.signal).toBe(2)
    expect(got.map(({ body }) => body['status'])).toEqual(['interrupted'])
  })

  test('one whose run died, by the next command, once', async () => {
    const project = shop(ONE)
    await project.dieAt(
      (argv) => argv.includes('up'),
      'none',
      () => project.deploy(),
    )
    got = [] // the run that dies cannot be kept from sending
    await project.recover()
    await project.recover()
    expect(got.map(({ body }) => body)).toMatchObject([
      {
        status: 'interrupted',
        release: { status: 'failed', phase: 'rollout' },
        recovery: { outcome: 'undone', message: expect.stringContaining('v1 (rel-') },
        live: null,
      },
    ])
  })
})

describe('a failed delivery changes nothing', () => {
  test('a server error is retried, and then it is delivered', async () => {
    answers = [503, 429]
    const outcome = await shop(ONE).deploy()
    expect([told(outcome), warnings(outcome.events), got.length]).toEqual(['no error', [], 3])
  })

  test('three errors, and no answer: a warning, without the URL', async () => {
    answers = [503, 503, 503]
    const outcome = await shop([ONE, { url_env: 'SLACK_WEBHOOK', format: 'slack' }], {
      SLACK_WEBHOOK: `http://127.0.0.1:9${SECRET}`,
    }).deploy()
    expect(told(outcome)).toBe('no error')
    expectGolden('core/notify.md', 'not-delivered', warnings(outcome.events).toSorted().join('\n'))
    expect(got).toHaveLength(3)
    expect(JSON.stringify(outcome)).not.toContain('x9k2mvq7')
  })

  test('no answer in time', async () => {
    answers = ['nothing', 'nothing', 'nothing']
    const { timeout } = AbortSignal
    const quicker = spyOn(AbortSignal, 'timeout').mockImplementation((ms) => timeout.call(AbortSignal, ms / 50))
    const outcome = await shop(ONE).deploy()
    expect(warnings(outcome.events)).toEqual([expect.stringContaining('it does not answer')])
    expect(outcome.release?.phases.finalize).toBe('completed')
    quicker.mockRestore()
  })

  test.each([404, 302])('%d is not retried', async (status) => {
    answers = [status]
    const outcome = await shop(ONE).deploy()
    expect(warnings(outcome.events)).toEqual([
      expect.stringContaining(`DEPLOY_WEBHOOK was not delivered: it answers ${status}`),
    ])
    expect(got).toHaveLength(1)
  })

  test('a source that cannot be read', async () => {
    const project = shop(ONE)
    const secrets = { DEPLOY_WEBHOOK: { command: 'exit 3' } }
    project.write('stagecraft.yml', JSON.stringify({ environments: { local: { notify: ONE, secrets } } }))
    await project.deploy()
    const outcome = await project.deploy()
    expect(told(outcome)).toBe('no error')
    const warning = 'warning: no notification is sent: Cannot read the secret DEPLOY_WEBHOOK: exit 3 ended with 3'
    expect(warnings(outcome.events)).toEqual([warning])
    expect(told(await project.rollback())).toBe('no error')
  })

  test('no URL', async () => {
    const project = shop([ONE, { url_env: 'SLACK_WEBHOOK' }], {
      DEPLOY_WEBHOOK: '',
      SLACK_WEBHOOK: `ftp://example.com${SECRET}`,
    })
    const outcome = await project.deploy()
    expectGolden('core/notify.md', 'no-url', warnings(outcome.events).join('\n'))
  })
})

test('secrets are masked in what is sent, and the URL in what is printed', async () => {
  const project = shop(ONE)
  project.engine.behave = ({ service }) => (service === 'web' ? { exit: 1, logs: `at ${SECRET}` } : undefined)
  const outcome = await project.deploy()
  expect(outcome.error?.detail).toContain('•••')
  expect(JSON.stringify(got[0]?.body)).not.toContain('x9k2mvq7')
})

test('the texts for a chat', () => {
  const phases = { build: '', push: '', migrate_pre: '', rollout: '', migrate_post: '', finalize: '' }
  const record = { status: 'completed', current: true, timestamp: '', commit_sha: '', phases } as const
  const release = { id: 'rel-20261122-080226000', environment: 'prod', version: 'v2', ...record }
  const [actor, build] = [
    { user: 'ana', machine: '', directory: '' },
    { started_at: '', duration_ms: 12_300 },
  ]
  const details = { project: 'shop-prod', actor, phases: { build }, images: {} }
  const base = { v: 1, type: 'release', previous: null, live: { id: 'rel-1', version: 'v1' }, details } as const
  const error = { message: 'Cannot start web: it ended with exit code 1' }
  const documents: ReleaseDocument[] = [
    { ...base, status: 'completed', command: 'deploy', release },
    { ...base, status: 'completed', command: 'rollback', release: { ...release, version: 'v1' } },
    {
      ...base,
      status: 'failed',
      command: 'deploy',
      release: { ...release, phase: 'rollout' },
      details: { ...details, error },
    },
    { ...base, status: 'interrupted', command: 'deploy', release: { ...release, phase: 'rollout' }, live: null },
    {
      ...base,
      ...{
        status: 'failed',
        command: 'deploy',
        release: { ...release, phase: 'finalize' },
        details: { ...details, error },
      },
      live: { id: 'rel-2', version: 'v2' },
    },
  ]
  expectGolden('core/notify.md', 'slack', documents.map(slackText).join('\n'))
})
