import { afterAll, describe, expect, test } from 'bun:test'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { PROXY_NETWORK, routeNetwork } from '../../lib/plan/routes/table.ts'
import { openSettings } from '../../lib/project/open.ts'
import { environmentStatus } from '../../lib/status/environment.ts'
import { exitCodeOf } from '../../lib/util/errors.ts'
import type { EngineState } from '../fakes/engine-state.ts'
import type { FakeProject } from '../fakes/project.ts'
import { type Application, deployed, HOST, newNeighbour, newRouted, servicesOf, write } from '../scenes/routed.ts'
import { told } from '../scenes/shop.ts'

// The proxy is lost at any instant of a release: afterwards every project that it routes is answered, or the exit code says that it
// is not so.

/** What somebody does to the proxy, by hand or by a prune. */
const LOSSES: Readonly<Record<string, (state: EngineState) => void>> = {
  'is removed': ({ proxy }) => Object.assign(proxy, { boxes: [], loaded: undefined }),
  'is stopped': ({ proxy }) => {
    for (const box of proxy.boxes) box.state = 'exited'
    proxy.loaded = undefined
  },
  'is disconnected from its networks': ({ proxy }) => {
    for (const box of proxy.boxes) Object.assign(box, { networks: [], aliases: {} })
  },
  'is disconnected from where it is published': ({ proxy }) => {
    for (const box of proxy.boxes) box.networks = box.networks.filter((name) => name !== PROXY_NETWORK)
  },
  'is disconnected from the other project': ({ proxy }) => {
    for (const box of proxy.boxes) box.networks = box.networks.filter((name) => name !== routeNetwork('blog'))
  },
  'is removed with its volumes': ({ proxy }) =>
    Object.assign(proxy, { boxes: [], loaded: undefined, volume: undefined }),
  'is removed, and the network of a project that is gone with it': ({ proxy, networks }) => {
    Object.assign(proxy, { boxes: [], loaded: undefined })
    delete networks[routeNetwork('gone')]
  },
}

const projects: FakeProject[] = []
afterAll(() => {
  for (const project of projects) project.remove()
})

/** Two projects are live, and a third was: what is released then, from the same state each time. @param live of the first */
async function scene(change: Application, live: readonly Application[] = [{}]) {
  const project = newRouted('proxy loss')
  const blog = newNeighbour(project, 'blog.example.com')
  const gone = newNeighbour(project, 'gone.example.com', 'gone')
  projects.push(project, blog, gone)
  for (const application of live) {
    write(project, application)
    await deployed(project)
  }
  for (const each of [blog, gone]) await deployed(each)
  mkdirSync(join(project.folder, '.stagecraft'), { recursive: true })
  const state = structuredClone(project.engine.state)
  project.keep()
  const start = () => {
    project.engine.restore(state)
    project.engine.watch = () => {}
    blog.engine.state = project.engine.state
    project.comeBack()
    write(project, change)
  }
  const answers = () => [
    ...project.engine.proxy.answer(HOST),
    ...project.engine.proxy.call('shop_default', 'api', 4000),
    ...blog.engine.proxy.answer('blog.example.com'),
    ...blog.engine.proxy.call('blog_default', 'api', 4000),
  ]
  return { project, blog, start, answers }
}

type Scene = Awaited<ReturnType<typeof scene>>

/** @returns what became of a release during which the proxy was lost before one of its commands. */
async function lose(
  { project, start, answers }: Scene,
  work: () => Promise<{ error?: unknown }>,
  loss: (state: EngineState) => void,
  at: number,
): Promise<string> {
  start()
  let count = 0
  project.engine.watch = () => {
    if (++count === at) loss(project.engine.state)
  }
  const { error } = await work()
  project.engine.watch = () => {}
  const isPublished = project.engine.state.proxy.boxes.every(({ networks }) => networks.includes(PROXY_NETWORK))
  return `exit ${error === undefined ? 0 : exitCodeOf(error)}: ${answers().join(', ')}${isPublished ? '' : ', not published'}`
}

/** The last moment at which it can still be noticed: what is live is asked for the last time. */
const lastAsked = ({ calls }: { calls: readonly string[][] }) =>
  calls.findLastIndex((argv) => argv.includes('stagecraft-ask')) + 1

const RELEASES: Readonly<
  Record<string, { change: Application; after: string; live?: Application[]; rollback?: true }>
> = {
  'a deploy': { change: { web: 'web two', api: 'api two' }, after: 'exit 0: web two, api two, blog one, api one' },
  'a deploy that fails': {
    change: { web: 'sick web', api: 'api two' },
    after: 'exit 5: web one, api one, blog one, api one',
  },
  'a first deploy': { live: [], change: {}, after: 'exit 0: web one, api one, blog one, api one' },
  'a rollback': {
    live: [{}, { web: 'web two' }],
    change: { web: 'web two' },
    after: 'exit 0: web one, api one, blog one, api one',
    rollback: true,
  },
  'a deploy of no change': { change: {}, after: 'exit 0: web one, api one, blog one, api one' },
}

const words = (argv: readonly string[] = []) => argv.filter((word) => word.length < 40).join(' ')

/** Each of so many commands; STAGECRAFT_ALL_LOSSES=1: every one. */
const EVERY = process.env['STAGECRAFT_ALL_LOSSES'] ? 1 : 11

describe.each(Object.entries(RELEASES))('while the proxy is lost, %s', (_, { change, after, live, rollback }) => {
  let prepared: ReturnType<typeof prepare> | undefined
  const work = ({ project }: Scene) => (rollback ? project.rollback() : project.deploy())
  const prepare = async () => {
    const all = await scene(change, live)
    all.start()
    await work(all)
    return { ...all, end: lastAsked(all.project.engine) }
  }

  test.each(Object.entries(LOSSES))('it %s', async (loss, lost) => {
    prepared ??= prepare()
    const all = await prepared
    expect(all.end).toBeGreaterThan(5)
    const isOthersLost = /volumes|other project/.test(loss)
    const wanted = isOthersLost ? after.replace(/, blog one, api one$/, '') : after
    const wrong: string[] = []
    for (let at = 1 + (loss.length % EVERY); at <= all.end; at += EVERY) {
      const became = await lose(all, () => work(all), lost, at)
      const own = isOthersLost ? became.replace(/, (blog one|404|nobody), (api one|nobody|404)$/, '') : became
      if (own !== wanted) wrong.push(`before command ${at} (${words(all.project.engine.calls[at - 1])}): ${became}`)
    }
    expect(wrong).toEqual([])
  })
})

describe('a rollout that cannot begin', () => {
  const MISSING = {
    web: 'web two',
    services: servicesOf({ cache: { image: 'db:1', networks: { outside: null } } }),
    networks: { outside: { name: 'outside', external: true } },
  }

  test('is exit 5: the proxy that was removed meanwhile is repaired, and the live release answers', async () => {
    const { project, start, answers } = await scene(MISSING)
    start()
    LOSSES['is removed']?.(project.engine.state)
    const { error } = await project.deploy()
    expect(told({ error })).toStartWith('failed (exit 5): ')
    expect(answers()).toEqual(['web one', 'api one', 'blog one', 'api one'])
  })

  test('is exit 6 where the live release does not answer: another program has the ports of the proxy', async () => {
    const { project, start } = await scene(MISSING)
    start()
    LOSSES['is removed']?.(project.engine.state)
    project.engine.proxy.portTaken = true
    const { error } = await project.deploy()
    expect(told({ error })).toStartWith(
      'not-restored (exit 6): Cannot begin the rollout, and the live release does not answer',
    )
    expect(told({ error })).toContain('api, web: Cannot start the proxy: another program uses one of its ports')
  })
})

describe('what was live and cannot be asked any more', () => {
  const at = (project: FakeProject, name: string, what: () => void) => {
    project.engine.watch = () => {
      if (project.engine.calls.at(-1)?.includes(name)) what()
    }
  }

  test('is exit 6 with what to do: its proxy is gone, and another program has its ports', async () => {
    const { project, start } = await scene({ web: 'sick web' })
    start()
    at(project, 'stagecraft-probe', () => {
      LOSSES['is removed']?.(project.engine.state)
      project.engine.proxy.portTaken = true
    })
    const { error } = await project.deploy()
    expect(told({ error })).toStartWith('not-restored (exit 6): Cannot restore the previous release')
    expect(told({ error })).toContain('Cannot start the proxy: another program uses one of its ports')
    expect(project.view()).toContain('web of web one running on shop_default+stagecraft-shop')
  })

  test('is exit 6: it runs, and does not answer', async () => {
    const { project, start } = await scene({ web: 'sick web' })
    start()
    project.engine.proxy.responds = ({ service }) => (service === 'web' ? undefined : 200)
    const { error } = await project.deploy()
    expect(told({ error })).toContain('Cannot reach web through the proxy: it was reachable before')
    expect(exitCodeOf(error)).toBe(6)
    project.engine.proxy.responds = () => 503 // an error is an answer: it was so before
    const again = await project.deploy()
    expect(exitCodeOf(again.error)).toBe(5)
  })

  test('of a release that is live already is exit 10', async () => {
    const { project, start } = await scene({ web: 'web two' })
    start()
    at(project, 'stagecraft-drained', () => {
      LOSSES['is removed']?.(project.engine.state)
      project.engine.proxy.portTaken = true
    })
    const { error } = await project.deploy()
    expect(told({ error })).toStartWith('after-commit (exit 10): Cannot confirm that requests reach api, web')
  })
})

test('a proxy that lost its volume says whose routes it has lost', async () => {
  const { project, start } = await scene({ web: 'web two' })
  start()
  LOSSES['is removed with its volumes']?.(project.engine.state)
  const { events } = await project.deploy()
  const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
  expect(warnings).toEqual(['the proxy was recreated without its volume, and has lost the routes of blog, gone'])
})

describe('status of every project that it routes sees that', () => {
  const drift = async ({ folder, engine: { exec, clock } }: FakeProject) => {
    const settings = await openSettings({ directory: folder, environment: undefined, stateOverride: undefined })
    const status = await environmentStatus(settings, { exec, clock: clock.now })
    return status.drift.map(({ name, why }) => `${name}: ${why}`)
  }
  const cutOff = (project: string) =>
    `it is not on network stagecraft-${project}: it reaches no container of ${project}`
  const unpublished = `the proxy is not on network ${PROXY_NETWORK}: its ports are not published`
  const unheard = (project: string) => `the proxy does not answer as api on network ${project}_default`

  test.each<[string, string[], string[]]>([
    ['is removed', ['it does not exist any more'], ['it does not exist any more']],
    ['is stopped', ['it is exited'], ['it is exited']],
    [
      'is disconnected from its networks',
      [cutOff('shop'), unheard('shop'), unpublished],
      [cutOff('blog'), unheard('blog'), unpublished],
    ],
    ['is disconnected from where it is published', [unpublished], [unpublished]],
    ['is disconnected from the other project', [], [cutOff('blog')]],
  ])('it %s', async (loss, own, others) => {
    const { project, blog, start } = await scene({})
    start()
    expect([await drift(project), await drift(blog)]).toEqual([[], []])
    LOSSES[loss]?.(project.engine.state)
    const whys = async (each: FakeProject) => (await drift(each)).map((line) => line.replace(/^.*?: (?=it |the )/, ''))
    expect([await whys(project), await whys(blog)]).toEqual([own, others])
  })

  test('nothing answers it', async () => {
    const { project, start } = await scene({})
    start()
    project.engine.proxy.responds = ({ service }) => (service === 'web' ? undefined : 200)
    expect(await drift(project)).toEqual([
      `http://${HOST}: nothing answers the proxy there (can't connect to remote host: Connection refused)`,
    ])
  })
})
