import { afterEach, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Bundle, bundleFolder, contentFolder, readBundle, writeBundle, writeModel } from '../lib/bundle.ts'
import { placeOf } from '../lib/bundle-parts.ts'
import { openDocker } from '../lib/docker.ts'
import { planPrune, prune } from '../lib/prune.ts'
import { openState, PHASES, type PhaseStatus, type Release, type State } from '../lib/state.ts'
import { scratch, stagecraft, stagecraftHere } from './support/command-line.ts'
import { composeModel, FakeEngine } from './support/fake-engine.ts'
import { FakeProject, story } from './support/fake-project.ts'
import { expectGolden } from './support/golden.ts'

const cleaners: (() => void)[] = []
afterEach(() => {
  for (const clean of cleaners.splice(0)) clean()
})

/** What became of a release: a word for its six phases. */
type Fate = 'completed' | 'failed' | 'running' | 'served'
const FATES: Record<Fate, readonly PhaseStatus[]> = {
  completed: ['completed', 'completed', 'completed', 'completed', 'completed', 'completed'],
  failed: ['completed', 'completed', 'completed', 'failed', 'skipped', 'skipped'],
  running: ['completed', 'completed', 'completed', 'running', 'pending', 'pending'],
  served: ['completed', 'completed', 'completed', 'completed', 'completed', 'failed'],
}

type Made = { fate: Fate; environment?: string; content?: string; image?: string; version?: string; hash?: string }

/** A state with releases that nobody deployed, oldest first, named r0, r1, … Each has an image of its own unless it says. */
class History {
  readonly engine = new FakeEngine()
  readonly state: State
  readonly ids: string[] = []

  constructor(releases: readonly (Fate | Made)[]) {
    const folder = fs.mkdtempSync(join(tmpdir(), 'stagecraft-prune-'))
    cleaners.push(() => fs.rmSync(folder, { recursive: true }))
    this.state = openState(join(folder, '.stagecraft/releases.json'), { clock: () => Date.UTC(2026, 10, 22) })
    for (const [index, made] of releases.entries()) this.#make(index, typeof made === 'string' ? { fate: made } : made)
  }

  #make(index: number, { fate, environment = 'prod', image = `image ${index}`, version = `v${index}`, hash }: Made) {
    const { id } = this.state.createRelease({ environment, version, commit_sha: '' })
    const statuses = FATES[fate].map((status, at) => [PHASES[at], status])
    this.state.updatePhases(id, Object.fromEntries(statuses))
    this.ids.push(id)
    const project = environment === 'prod' ? 'shop' : `shop-${environment}`
    const tag = `${project}-web:${version}`
    const imageId = this.engine.addImage(tag, image)
    const content = `${project}-web:sc-${imageId.slice(7, 19)}`
    this.engine.addImage(content, image)
    const web = { name: tag, reference: content, id: imageId, fingerprint: image, built: true, volumes: false }
    const bundle: Bundle = {
      ...{ v: 1, id, environment, version, commit_sha: '', project, phases: {} },
      images: { web },
      tags: [{ tag, id: imageId }],
      topology: { order: ['web'], needs: {}, jobs: [] },
      content: hash === undefined ? [] : [{ name: './site.conf', hash }],
      config_hashes: {},
      ...(fate === 'failed' ? {} : { switched_at: '2026-11-22T00:00:00.000Z' }),
    }
    writeBundle(this.state.file, bundle)
    writeModel(this.state.file, id, { name: project, services: {} })
    if (hash !== undefined) this.keep(hash)
  }

  /** Puts an entry into the content store. */
  keep(hash: string): string {
    const path = join(contentFolder(this.state.file), hash)
    fs.mkdirSync(join(path, 'deep'), { recursive: true })
    fs.writeFileSync(join(path, 'deep/file'), 'x')
    return path
  }

  plan(keep: number, serving: number | undefined = this.#newestServing(), environment = 'prod') {
    const { bundles, tags } = planPrune(
      this.state,
      { environment, keep, serving: serving === undefined ? undefined : this.ids[serving] },
      placeOf({ key: 'local' }, [{ key: 'local' }]),
    )
    return { bundles: this.names(bundles), tags: tags.map(({ tag }) => tag.replace(/:sc-.*/, ':sc')) }
  }

  async prune(keep: number, environment = 'prod') {
    const serving = this.ids[this.#newestServing() ?? -1]
    const docker = openDocker(this.engine.exec, (text) => text)
    const { bundles, tags, content } = await prune(
      docker,
      this.state,
      planPrune(this.state, { environment, keep, serving }, placeOf({ key: 'local' }, [{ key: 'local' }])),
      { stateFile: this.state.file },
    )
    return { bundles: this.names(bundles), tags: tags.map((tag) => tag.replace(/:sc-.*/, ':sc')), content }
  }

  names(ids: readonly string[]): string[] {
    return ids.map((id) => `r${this.ids.indexOf(id)}`)
  }

  #newestServing(): number | undefined {
    const at = this.ids.findLastIndex((id) => {
      const bundle = readBundle(this.state.file, id)
      return bundle?.environment === 'prod' && bundle.switched_at !== undefined
    })
    return at < 0 ? undefined : at
  }
}

const hash = (digit: string) => digit.repeat(32)

test('what another project of the engine calls the same stays', async () => {
  const history = new History(['completed', 'completed', 'completed'])
  const name = 'shop-web-api:v0' // of the service web-api of shop, or of api of shop-web
  const id = history.engine.addImage(name, 'image 0')
  const first = readBundle(history.state.file, history.ids[0] ?? '')
  if (first) writeBundle(history.state.file, { ...first, tags: [{ tag: name, id }] })
  const labels = { 'stagecraft.root': '/x', 'stagecraft.host': 'x' }
  history.engine.state.owners = { 'stagecraft-shop': labels, 'stagecraft-shop-web': labels }
  expect((await history.prune(0)).tags).not.toContain(name)
  expect(history.engine.state.tags[name]).toBe(id)
})

describe('what stays', () => {
  const five: Fate[] = ['completed', 'completed', 'completed', 'completed', 'completed']

  test.each<[number, string[]]>([
    [0, ['r0', 'r1', 'r2', 'r3']],
    [1, ['r0', 'r1', 'r2']],
    [3, ['r0']],
    [4, []],
    [99, []],
  ])('with keep: %d, of five completed releases of which the last serves, without %p', (keep, gone) => {
    expect(new History(five).plan(keep).bundles).toEqual(gone)
  })

  test.each<[number, string[]]>([
    [0, ['r0', 'r1', 'r2']],
    [1, ['r0', 'r1', 'r2']],
    [2, ['r0', 'r1']],
    [3, ['r0']],
  ])('with keep: %d, while the last one is in its finalize phase, without %p', (keep, gone) => {
    // The current one besides: it is what a rollback goes to should the last one fail yet.
    const history = new History([...five.slice(1), { fate: 'running' }])
    expect(history.plan(keep).bundles).toEqual(gone)
  })

  test('failed releases count for nothing, and keep their bundle as long as an older one stays', () => {
    const history = new History(['completed', 'failed', 'completed', 'failed', 'completed', 'failed'])
    const { bundles, tags } = history.plan(1)
    expect(bundles).toEqual(['r0', 'r1'])
    // None of the failed ones is a target: their images go.
    expect(tags.filter((tag) => !tag.endsWith(':sc'))).toEqual([
      'shop-web:v0',
      'shop-web:v1',
      'shop-web:v3',
      'shop-web:v5',
    ])
  })

  test('a release that serves without being completed stays, and so does the current one', () => {
    const history = new History(['completed', 'completed', 'served', 'failed'])
    expect(history.plan(0)).toEqual({
      bundles: ['r0'],
      tags: ['shop-web:sc', 'shop-web:sc', 'shop-web:v0', 'shop-web:v3'],
    })
  })

  test('the current one does not count where a later one serves that failed after its switch', () => {
    const history = new History([...five, 'served'])
    expect(history.plan(1).bundles).toEqual(['r0', 'r1', 'r2'])
    expect(history.plan(0).bundles).toEqual(['r0', 'r1', 'r2', 'r3'])
  })

  test('a release that another run may be at stays, with its images, however old, and keeps no other', () => {
    const history = new History(['running', 'completed', 'completed', 'completed'])
    expect(history.plan(0)).toEqual({
      bundles: ['r1', 'r2'],
      tags: ['shop-web:sc', 'shop-web:sc', 'shop-web:v1', 'shop-web:v2'],
    })
  })

  test('a rolled back release keeps its image, by the release that put it back', () => {
    const first = { fate: 'completed', image: 'one', version: 'v1' } as const
    const history = new History([first, { fate: 'completed', version: 'v2' }, first])
    expect(history.plan(0)).toEqual({ bundles: ['r0', 'r1'], tags: ['shop-web:sc', 'shop-web:v2'] })
  })

  test('releases of other environments are neither counted nor touched', () => {
    const staging = { fate: 'completed', environment: 'staging' } as const
    const history = new History([staging, 'completed', staging, 'completed', staging, staging])
    expect(history.plan(0)).toEqual({ bundles: ['r1'], tags: ['shop-web:sc', 'shop-web:v1'] })
  })

  test('nothing goes where nothing serves and nothing was completed', () => {
    const { bundles } = new History(['failed', 'failed']).plan(0)
    expect(bundles).toEqual([])
    expect(new History([]).plan(0)).toEqual({ bundles: [], tags: [] })
  })
})

describe('prune()', () => {
  test('removes bundles and images, and keeps the history', async () => {
    const history = new History(['completed', 'completed', 'completed'])
    const before = history.state.listReleases()
    expect(await history.prune(1)).toEqual({ bundles: ['r0'], tags: ['shop-web:sc', 'shop-web:v0'], content: [] })
    expect(fs.existsSync(bundleFolder(history.state.file, history.ids[0] ?? ''))).toBe(false)
    expect(Object.values(history.engine.state.images).map(({ content }) => content)).toEqual(['image 1', 'image 2'])
    expect(history.state.listReleases()).toEqual(before)
  })

  test('does nothing the second time, and does not ask the engine', async () => {
    const history = new History(['completed', 'completed', 'completed'])
    await history.prune(0)
    history.engine.calls = []
    expect(await history.prune(0)).toEqual({ bundles: [], tags: [], content: [] })
    expect(history.engine.calls).toEqual([])
  })

  test('leaves a tag that has moved to another image since', async () => {
    const history = new History(['completed', 'completed'])
    const moved = history.engine.addImage('shop-web:v0', 'somebody built it')
    expect((await history.prune(0)).tags).toEqual(['shop-web:sc'])
    expect(history.engine.state.tags['shop-web:v0']).toBe(moved)
  })

  test('leaves a tag that a release that stays has as well', async () => {
    const same = { fate: 'completed', image: 'same', version: 'v1' } as const
    const history = new History([same, same, 'completed'])
    expect((await history.prune(1)).tags).toEqual([])
    expect((await history.prune(0)).tags).toEqual(['shop-web:sc', 'shop-web:v1'])
  })

  test('leaves a tag that a bundle of another environment names', async () => {
    const history = new History(['completed', { fate: 'completed', environment: 'staging' }, 'completed'])
    const [old = '', staging = ''] = history.ids
    const { images, tags = [] } = readBundle(history.state.file, old) ?? { images: {} }
    const bundle = readBundle(history.state.file, staging)
    // It promotes what prod built: compose_project is the same.
    if (bundle) writeBundle(history.state.file, { ...bundle, project: 'shop', images, tags })
    expect(await history.prune(0)).toEqual({ bundles: ['r0'], tags: [], content: [] })
    expect(tags).toHaveLength(1)
  })

  test('leaves what Stagecraft did not tag, and an image that a container uses', async () => {
    const history = new History(['completed', 'completed', 'completed'])
    const { engine } = history
    engine.addImage('mine:latest', 'image 0')
    engine.addImage('unused:1', 'unused')
    const model = composeModel('other', { services: { app: { image: 'shop-web:v1' } } })
    const words = ['up', '-d', '--no-deps', '--no-build', '--pull', 'never', '--force-recreate', '--', 'app']
    await engine.exec(['docker', 'compose', '-p', 'other', '-f', '-', ...words], { input: JSON.stringify(model) })
    await history.prune(0)
    const contents = Object.values(engine.state.images).map(({ content }) => content)
    expect(contents).toEqual(['image 0', 'image 1', 'image 2', 'unused'])
    expect(engine.state.tags['mine:latest']).toBeDefined()
    expect(engine.view('other')).toEqual(['app of image 1 running on other_default'])
  })

  test('removes content with the last bundle that names it, of any environment', async () => {
    const [a, b, c] = [hash('a'), hash('b'), hash('c')]
    const history = new History([
      { fate: 'completed', hash: a },
      { fate: 'completed', hash: b },
      { fate: 'completed', hash: a },
      { fate: 'completed', environment: 'staging', hash: b },
      { fate: 'completed', hash: c },
    ])
    expect((await history.prune(1)).content).toEqual([])
    expect((await history.prune(0)).content).toEqual([a])
    expect(fs.readdirSync(contentFolder(history.state.file)).toSorted()).toEqual([b, c])
  })

  test('removes a read-only folder of content, and follows no link out of it', async () => {
    const history = new History(['completed'])
    const path = history.keep(hash('d'))
    fs.chmodSync(join(path, 'deep/file'), 0o400)
    fs.chmodSync(join(path, 'deep'), 0o500)
    fs.chmodSync(path, 0o555)
    fs.symlinkSync('/etc', join(history.keep(hash('e')), 'link'))
    expect((await history.prune(0)).content).toEqual([hash('d'), hash('e')])
    expect(fs.existsSync('/etc/passwd')).toBe(true)
  })

  test('leaves in the content folder what is not content', async () => {
    const history = new History(['completed'])
    history.keep('.tmp-1')
    history.keep('notes')
    expect((await history.prune(0)).content).toEqual([])
  })
})

describe('the end of every release', () => {
  const KEEP_ONE = 'environments: {local: {keep: 1}}'

  async function app(files: Record<string, string>): Promise<(content: string) => Promise<readonly string[]>> {
    const project = new FakeProject('prune')
    cleaners.push(() => project.remove())
    for (const [name, text] of Object.entries(files)) project.write(name, text)
    project.write('.dockerignore', '.stagecraft')
    project.engine.model = composeModel('shop', { services: { web: { build: { context: project.folder } } } })
    apps.push(project)
    return async (content) => {
      project.engine.sources = { web: content }
      const { error, events } = await project.deploy({ version: content })
      if (error) throw error
      return story(events)
    }
  }
  const apps: FakeProject[] = []
  const tagsOf = (project: FakeProject | undefined) =>
    Object.keys(project?.engine.state.tags ?? {}).filter((tag) => !tag.includes(':sc-'))

  test('prunes, and says so', async () => {
    const deploy = await app({ 'stagecraft.yml': KEEP_ONE })
    await deploy('a')
    await deploy('b')
    expect(await deploy('c')).toContain('finalize completed: 1 service runs as released; 1 older release pruned')
    expect(tagsOf(apps.at(-1))).toEqual(['shop-web:b', 'shop-web:c'])
  })

  test('is a success with a warning where pruning fails', async () => {
    const deploy = await app({ 'stagecraft.yml': KEEP_ONE })
    await deploy('a')
    await deploy('b')
    const project = apps.at(-1)
    const oldest = project?.releases().at(-1)?.id ?? ''
    fs.writeFileSync(join(bundleFolder(project?.stateFile ?? '', oldest), 'release.json'), '{')
    const told = await deploy('c')
    expect(told.find((line) => line.startsWith('  warning'))).toContain(`${oldest}/release.json: it is not JSON`)
    expect(told.at(-1)).toBe('finalize completed: 1 service runs as released')
  })

  test('goes on where the engine does not let an image go', async () => {
    const deploy = await app({ 'stagecraft.yml': KEEP_ONE })
    await deploy('a')
    await deploy('b')
    const project = apps.at(-1)
    if (project) project.engine.intercept = (argv) => (argv[1] === 'rmi' ? { damage: 'none' } : undefined)
    expect(await deploy('c')).toContain('finalize completed: 1 service runs as released; 1 older release pruned')
    expect(tagsOf(project)).toEqual(['shop-web:a', 'shop-web:b', 'shop-web:c'])
  })
})

describe('stagecraft prune', () => {
  const OLD = 'rel-20261121-070000000'
  const NEW = 'rel-20261122-070000000'
  const ID = `sha256:0123456789ab${'0'.repeat(52)}`

  const record = (id: string, version: string): Release => ({
    ...{ id, environment: 'local', version, commit_sha: '', timestamp: '2026-11-21T07:00:00.000Z' },
    phases: { build: 'completed', push: 'completed', migrate_pre: 'completed', rollout: 'completed', migrate_post: 'completed', finalize: 'completed' }, // biome-ignore format: one thing
  })
  const bundle = (id: string, version: string, image: string) => ({
    ...{ v: 1, id, environment: 'local', version, commit_sha: '', project: 'shop', phases: {}, content: [] },
    ...{ topology: { order: [], needs: {}, jobs: [] }, config_hashes: {} },
    images: {
      web: { name: 'shop-web:x', reference: 'shop-web:x', id: image, fingerprint: '', built: true, volumes: false },
    },
    tags: [{ tag: `shop-web:${version}`, id: image }],
    switched_at: '2026-11-21T07:00:10.000Z',
  })

  /** Two releases, of which the older one can go, and an engine whose `docker` is a script that notes what it is told. */
  function twoReleases(docker: string) {
    const folder = scratch({
      'stagecraft.yml': 'environments: {local: {keep: 0}, prod: {}}',
      '.stagecraft/releases.json': JSON.stringify({ releases: [record(OLD, 'v1'), record(NEW, 'v2')] }),
      [`.stagecraft/releases/${OLD}/release.json`]: JSON.stringify(bundle(OLD, 'v1', ID)),
      [`.stagecraft/releases/${NEW}/release.json`]: JSON.stringify(bundle(NEW, 'v2', `sha256:${'9'.repeat(64)}`)),
      'bin/docker': `#!/bin/sh\necho "$*" >>"$0.log"\n${docker}\n`,
    })
    fs.chmodSync(join(folder.path, 'bin/docker'), 0o755)
    cleaners.push(folder.remove)
    const env = { PATH: `${folder.path}/bin:${process.env['PATH']}` }
    return {
      run: (...args: string[]) => stagecraft(['prune', '--env', 'local', ...args], { cwd: folder.path, env }),
      there: (id: string) => fs.existsSync(join(folder.path, '.stagecraft/releases', id)),
    }
  }
  const LISTS = `case $1 in image) printf '%s\\n' 'shop-web:v1 ${ID}' 'shop-web:sc-0123456789ab ${ID}';; esac`

  test('says what went, and with --dry-run what would go', async () => {
    const { run, there } = twoReleases(LISTS)
    const dry = await run('--dry-run')
    expect(dry).toEqual({
      exit: 0,
      stdout: [
        `would remove  release  ${OLD}`,
        'would remove  image    shop-web:sc-0123456789ab',
        'would remove  image    shop-web:v1',
        '',
      ].join('\n'),
      stderr: '',
    })
    expect([there(OLD), there(NEW)]).toEqual([true, true])
    const { exit, stdout, stderr } = await run()
    expectGolden('commands/prune.md', 'pruned', stdout)
    expect([exit, stderr]).toEqual([0, ''])
    expect([there(OLD), there(NEW)]).toEqual([false, true])
    expectGolden('commands/prune.md', 'nothing', (await run()).stdout)
  })

  test('--json is one object, then the end', async () => {
    const { run } = twoReleases(LISTS)
    const objects = async (...args: string[]) =>
      (await run('--json', ...args)).stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    const tags = ['shop-web:sc-0123456789ab', 'shop-web:v1']
    expect(await objects('--dry-run')).toEqual([
      { v: 1, type: 'prune-plan', bundles: [OLD], tags: tags.map((tag) => ({ tag, id: ID })) },
      { v: 1, type: 'finished', exit: 0 },
    ])
    expect(await objects()).toEqual([
      { v: 1, type: 'pruned', bundles: [OLD], tags, content: [] },
      { v: 1, type: 'finished', exit: 0 },
    ])
  })

  test('without an engine is exit 8, and nothing has gone', async () => {
    const { run, there } = twoReleases('echo "Cannot connect to the Docker daemon at x" >&2; exit 1')
    const { exit, stderr } = await run()
    expect([exit, stderr.split('\n')[0]]).toEqual([8, 'Cannot reach the Docker engine: it does not answer'])
    expect(there(OLD)).toBe(true)
  })

  test('of an environment that is not there is exit 4, of a state that cannot be read exit 9', async () => {
    const folder = scratch({ '.stagecraft/releases.json': '{' })
    cleaners.push(folder.remove)
    expect((await stagecraftHere(['prune', '--env', 'nowhere'], { cwd: folder.path })).exit).toBe(4)
    expect((await stagecraftHere(['prune'], { cwd: folder.path })).exit).toBe(9)
  })
})
