import { describe, expect, test } from 'bun:test'
import { chmodSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Project } from '../../lib/project/settings.ts'
import type { SourceVersion } from '../../lib/project/version.ts'
import { hashBuilds } from '../../lib/release/approval/source.ts'
import { planToken, refuseOtherPlan, requireToken, type Wanted } from '../../lib/release/approval/token.ts'
import { planDeploy } from '../../lib/release/deploy.ts'
import { withEnvironmentLocked } from '../../lib/release/locked.ts'
import { type Existing, existingOf } from '../../lib/release/promotion/existing.ts'
import type { FakeProject } from '../fakes/project.ts'
import { change, newShop } from '../scenes/shop.ts'
import { errorOf, failureOf, formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const DATABASE = '{connection_env: APPROVAL_URL, migrations: {engine: raw, path: ops/sql}}'
const SETTINGS = `environments: {local: {hooks: {before_build: sh ops/check}, databases: {main: ${DATABASE}}}}\n`
const VERSION: SourceVersion = { name: 'v2', commit: '' }

async function deployed(): Promise<FakeProject> {
  const project = temporary(newShop('approval'))
  project.write('Dockerfile', 'FROM scratch\nCOPY . .\n')
  project.write('src/index.js', 'one\n')
  project.write('.dockerignore', '.stagecraft\nops\nstagecraft.yml\n.env\n')
  project.write('ops/check', 'exit 0\n')
  project.write('ops/sql/1.sql', 'select 1;\n')
  setDatabase(project, 'one')
  project.write('stagecraft.yml', SETTINGS)
  await project.deploy()
  return project
}

async function tokenOf(
  project: FakeProject,
  version = VERSION,
  existing: (opened: Project) => Wanted['existing'] = () => undefined,
): Promise<string> {
  const opened = await project.open()
  const wanted = { project: opened, version, existing: existing(opened) }
  const world = project.world()
  return planToken(await planDeploy(opened, version, world, wanted), wanted, world)
}

/** The parts of a token that a change changes: 0 what runs, 1 the configuration, 2 the source. */
async function changedBy(act: (project: FakeProject) => unknown, version = VERSION): Promise<number[]> {
  const project = await deployed()
  const before = (await tokenOf(project)).split('-')
  await act(project)
  const after = (await tokenOf(project, version)).split('-')
  return before.flatMap((part, at) => (part === after[at] ? [] : [at]))
}

describe('the token of a plan', () => {
  test.each<[string, (project: FakeProject) => unknown, number[]]>([
    ['nothing', () => {}, []],
    ['another release', (project) => project.deploy(), [0]],
    ['a container that was recreated', (project) => remove(project), [0]],
    ['a container that was stopped', (project) => stop(project), [0]],
    ['an env value', (project) => change(project, { cache: { image: 'redis:7', environment: { A: '1' } } }), [1]],
    ['an argument of a build', (project) => rebuild(project, { args: { A: '2' } }), [1]],
    ['the stage that is built', (project) => rebuild(project, { target: 'debug' }), [1]],
    ['the order of services', (project) => order(project), [1]],
    ['a file of SQL', (project) => project.write('ops/sql/2.sql', 'select 2;\n'), [0, 2]],
    ['another database', (project) => setDatabase(project, 'two'), [0, 1]],
    ['a script of a hook', (project) => project.write('ops/check', 'exit 1\n'), [2]],
    ['stagecraft.yml', (project) => project.write('stagecraft.yml', `${SETTINGS}# a comment\n`), []],
    [
      'the registry',
      (project) => project.write('stagecraft.yml', `${SETTINGS}project: {registry: x.example.com/a}\n`),
      [1],
    ],
    ['a file that is built from', (project) => project.write('src/index.js', 'two\n'), [2]],
    ['a new file', (project) => project.write('src/more.js', ''), [2]],
    ['a file that the build does not read', (project) => project.write('.stagecraft/x', 'y'), []],
    ['an image that was pulled again', (project) => project.engine.addImage('redis:7', 'redis two'), [2]],
  ])('%s', async (_, act, parts) => {
    expect(await changedBy(act)).toEqual(parts)
  })

  test('another version is another configuration, unless it is only the time', async () => {
    expect(await changedBy(() => {}, { name: 'v3', commit: '' })).toEqual([1])
    const project = await deployed()
    const at = (time: string) => tokenOf(project, { name: `20261130-${time}`, commit: '', isTime: true })
    expect(await at('080000')).toBe(await at('080059'))
  })

  test('without a build, the images that are used are the source', async () => {
    const project = await deployed()
    const token = (existing: (opened: Project) => Existing) => tokenOf(project, { name: 'v1', commit: '' }, existing)
    const existing = (opened: Project) => existingOf(opened, 'v1', project.world())
    const first = await token(existing)
    project.write('src/index.js', 'not built\n')
    expect(await token(existing)).toBe(first)
    const other = await token((opened) => ({
      ...existing(opened),
      from: { environment: 'x', id: 'rel-1', version: 'v1' },
      images: new Map(),
    }))
    expect(other.split('-').slice(0, 2)).toEqual(first.split('-').slice(0, 2))
    expect(other).not.toBe(first)
    project.engine.addImage('shop-web:v1', 'moved')
    expect(await token(existing)).not.toBe(first)
  })

  test('is the same in another checkout', async () => {
    const checkout = async () => {
      const project = temporary(newShop('approval'))
      project.write('Dockerfile', 'FROM scratch\nCOPY . .\n')
      return [project.folder, await tokenOf(project)] as const
    }
    const [one, two] = [await checkout(), await checkout()]
    expect(one[0]).not.toBe(two[0])
    expect(one[1]).toBe(two[1])
  })
})

test('a deploy of a plan that is no longer true is refused, and says what has changed', async () => {
  const project = await deployed()
  const token = await tokenOf(project)
  const check = async () => {
    const opened = await project.open()
    const turn = { command: 'deploy', wait: 0 }
    await withEnvironmentLocked(opened, turn, project.world(), (locked) =>
      refuseOtherPlan(token, { project: opened, version: VERSION }, locked),
    )
  }
  await check()
  project.write('src/index.js', 'two\n')
  await project.deploy()
  expectGolden('commands/deploy.md', 'other-plan', formatError(await failureOf(check())).join('\n'))
  expect(errorOf(() => requireToken('latest'))).toMatchObject({ kind: 'usage' })
})

test('what a build reads: names, modes, contents and link targets, without what its ignore file excludes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'stagecraft-source-'))
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
  const hash = (build: object = {}) =>
    hashBuilds({ name: 'x', services: { web: { build: { context: folder, ...build } } } })
  try {
    write('Dockerfile', 'FROM scratch\n')
    write('a', '1')
    write('.dockerignore', 'ignored*\n!ignored-not\nDockerfile\n')
    let last = hash()
    const differs = (act: () => void) => {
      act()
      const now = hash()
      const is = now !== last
      last = now
      return is
    }
    expect(differs(() => write('ignored', 'x'))).toBe(false)
    expect(differs(() => write('ignored-not', 'x'))).toBe(true)
    expect(differs(() => write('Dockerfile', 'FROM busybox\n'))).toBe(true)
    expect(differs(() => chmodSync(join(folder, 'a'), 0o755))).toBe(true)
    expect(differs(() => renameSync(join(folder, 'a'), join(folder, 'b')))).toBe(true)
    expect(differs(() => symlinkSync('/etc/passwd', join(folder, 'link')))).toBe(true)
    expect(differs(() => write('b', '2'))).toBe(true)
    expect(hash({ dockerfile_inline: 'FROM x' })).not.toBe(last)
    // BuildKit follows a link to the Dockerfile, and does not look into folders that are excluded.
    writeFileSync(`${folder}.Dockerfile`, 'FROM one\n')
    rmSync(join(folder, 'Dockerfile'))
    symlinkSync(`${folder}.Dockerfile`, join(folder, 'Dockerfile'))
    last = hash()
    expect(differs(() => writeFileSync(`${folder}.Dockerfile`, 'FROM two\n'))).toBe(true)
    expect(hash({ context: join(folder, 'none') })).toBe(hash({ context: 'https://example.com/x.git' }))
  } finally {
    rmSync(folder, { recursive: true })
    rmSync(`${folder}.Dockerfile`)
  }
})

/** As `docker compose up --force-recreate cache`. */
function remove(project: FakeProject): void {
  const { state } = project.engine
  state.containers = state.containers.map((one) =>
    one.service === 'cache' ? { ...one, id: one.id.replace(/^.{4}/, 'abcd') } : one,
  )
}

function setDatabase(project: FakeProject, name: string): void {
  process.env['APPROVAL_URL'] = `sqlite://${project.folder}/${name}.db`
}

function stop({ engine }: FakeProject): void {
  const { containers } = engine.state
  engine.state.containers = containers.map((one) =>
    one.service === 'cache' ? { ...one, state: 'stopped' as const } : one,
  )
}

function rebuild(project: FakeProject, more: object): void {
  const build = { context: project.folder, dockerfile: 'Dockerfile', ...more }
  change(project, { web: { build, environment: { GREETING: 'hello' } } })
}

function order(project: FakeProject): void {
  change(project, { cache: { image: 'redis:7', depends_on: { db: { condition: 'service_started' } } } })
}
