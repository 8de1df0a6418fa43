import { afterAll, describe, expect, test } from 'bun:test'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Exec } from '../../lib/system/exec.ts'
import type { FakeProject, Outcome } from '../fakes/project.ts'
import { deployed, newNeighbour, newRouted } from '../scenes/routed.ts'
import { told } from '../scenes/shop.ts'

// Nobody's proxy is removed: another project of the host is deployed at any instant of a `down` that takes the proxy away.

const projects: FakeProject[] = []
afterAll(() => {
  for (const project of projects) project.remove()
})

/** Each of so many commands; STAGECRAFT_ALL_LOSSES=1: every one. */
const EVERY = process.env['STAGECRAFT_ALL_LOSSES'] ? 1 : 6

/** Shop is live alone; blog is to be deployed. `start` comes back to that. */
async function scene() {
  const shop = newRouted('down beside')
  const blog = newNeighbour(shop, 'blog.example.com')
  projects.push(shop, blog)
  await deployed(shop)
  const [state, execs] = [structuredClone(shop.engine.state), [shop.engine.exec, blog.engine.exec] as const]
  for (const each of [shop, blog]) {
    mkdirSync(join(each.folder, '.stagecraft'), { recursive: true })
    each.keep()
  }
  const start = () => {
    shop.engine.restore(state)
    blog.engine.state = shop.engine.state
    for (const each of [shop, blog]) {
      each.comeBack()
      each.engine.calls = []
    }
    Object.assign(shop.engine, { exec: execs[0] })
    Object.assign(blog.engine, { exec: execs[1] })
  }
  start()
  return { shop, blog, start }
}

/** Does something before the n-th command of a project. */
function before(project: FakeProject, n: number, work: () => Promise<void>): void {
  const { exec } = project.engine
  let count = 0
  const waiting: Exec = async (argv, options) => {
    if (++count === n) await work()
    return exec(argv, options)
  }
  Object.assign(project.engine, { exec: waiting })
}

/** `down` begins before the n-th command of the deploy, and rests before its own m-th until the deploy has ended. */
async function interleaved({ shop, blog, start }: Awaited<ReturnType<typeof scene>>, n: number, m: number) {
  start()
  let down: Promise<Outcome> | undefined
  const rests = Promise.withResolvers<void>()
  const over = Promise.withResolvers<void>()
  before(shop, m, async () => {
    rests.resolve()
    await over.promise
  })
  before(blog, n, async () => {
    down = shop.down()
    await Promise.race([rests.promise, down]) // it is shorter once blog has routes
  })
  const deploy = await blog.deploy()
  over.resolve()
  const ends = [told(deploy), told((await down) ?? deploy)]
  const { proxy } = blog.engine
  const answers = [...proxy.answer('blog.example.com'), ...proxy.call('blog_default', 'api', 4000)]
  return [...ends, ...answers, ...blog.engine.state.proxy.boxes.map(({ name }) => name)].join(', ')
}

describe('down of the only project with routes', () => {
  let prepared: ReturnType<typeof scene> | undefined
  const prepare = () => (prepared ??= scene())

  test('removes the proxy and its network', async () => {
    const { shop, start } = await prepare()
    start()
    expect(told(await shop.down())).toBe('no error')
    expect([shop.engine.state.proxy.boxes, Object.keys(shop.engine.state.networks)]).toEqual([[], []])
  })

  test('leaves the proxy to a project that is deployed meanwhile', async () => {
    const all = await prepare()
    const { shop, blog, start } = all
    start()
    await shop.down()
    const ofDown = shop.engine.calls.length
    start()
    await deployed(blog)
    const ofDeploy = blog.engine.calls.length
    const failed: string[] = []
    for (let n = 1; n <= ofDeploy; n += EVERY)
      for (let m = ofDown - 3; m <= ofDown; m++) {
        const became = await interleaved(all, n, m)
        if (became !== 'no error, no error, blog one, api one, stagecraft-proxy') failed.push(`${n} ${m}: ${became}`)
      }
    expect(failed).toEqual([])
  })
})
