import { afterAll, expect, test } from 'bun:test'
import { type LoadGenerator, startLoad, versionsSince } from '../rolling/load.ts'
import { callsOf, type Death, deployAndDie, hostOf, writeSite } from '../rolling/site.ts'
import { host, isUp } from '../support/lab.ts'
import { deploy, expectCode, page, until, writeApp, writePage } from './app.ts'

// No request is lost, whatever a rollout comes to. On a host of its own: all its projects share one proxy, and a route that
// another test changed would have the proxy load a configuration, which may reset connections.
const lab = test.skipIf(!isUp('h3'))
const h3 = host('h3')
const folder = h3.folder('site')
const other = h3.folder('other')
let load: LoadGenerator | undefined
let otherLoad: LoadGenerator | undefined
afterAll(async () => {
  await Promise.all([folder.cleanUp(), other.cleanUp()])
})

let releases = 0
const next = () => `v${++releases}`

/** Deploys, and holds that the version answers everything which is asked after it, or nothing. */
async function release(more: { bad?: boolean; replicas?: number; network?: string } = {}): Promise<void> {
  const version = next()
  writeSite(folder, { version, ...more })
  const { stderr } = await deploy(folder, version, more.bad ? 5 : 0)
  if (more.bad) expect(stderr).toContain('Cannot start web: its healthcheck says unhealthy')
  settled.push({ at: load?.now() ?? 0, version: more.bad ? undefined : version })
}

/** When a deploy had ended, and what served from then on; undefined: what served before. */
const settled: { at: number; version: string | undefined }[] = []

async function dies(death: Death): Promise<void> {
  const version = next()
  writeSite(folder, { version })
  await deployAndDie(folder, version, death)
}

const idsOf = async (service: string) =>
  (await folder.containers())
    .filter((container) => container.service === service)
    .map(({ id, started }) => `${id} ${started}`)

lab(
  'rollouts, failed ones, rollbacks and killed ones lose no request, and touch no database',
  async () => {
    await release()
    const db = await idsOf('db')
    await until('front calls api', async () => (await callsOf(folder, h3.ip)).ok > 20 || 'not yet')
    const callsBefore = await callsOf(folder, h3.ip)
    load = await startLoad({ ip: h3.ip, host: hostOf(folder), rate: 300, seconds: 900 })

    await release()
    await release({ bad: true })
    await release({ replicas: 3 })
    await release({ replicas: 3, network: 'two' })
    await release({ replicas: 3, bad: true, network: 'two' })
    expectCode(await folder.stagecraft(['rollback']), 0)
    await release({ network: 'two' })

    // Two projects on one proxy: the other one rolls while this one is asked, and is asked too.
    await deployOther('one')
    otherLoad = await startLoad({ ip: h3.ip, host: hostOf(other), rate: 30, seconds: 900, long: false })
    await deployOther('two')

    // Killed in prepare, in the switch and in retire; the next deploy mends it, and goes on.
    for (const death of [
      { at: 'start ', when: 'after' },
      { at: 'stagecraft-switch', when: 'before' },
      { at: 'stagecraft-switch', when: 'after' },
      { at: 'stop ', when: 'before' },
    ] as const) {
      await dies(death)
      await release()
    }

    const result = await load.stop()
    const calls = await callsOf(folder, h3.ip)
    const others = await otherLoad.stop()
    expect(result.failures).toEqual([])
    expect(others.failures).toEqual([])
    expect({ failures: calls.failures, lost: calls.failed - callsBefore.failed }).toEqual({
      failures: callsBefore.failures,
      lost: 0,
    })
    expect(result.made).toBeGreaterThan(5_000)
    expect(calls.ok - callsBefore.ok).toBeGreaterThan(1_000)

    // After a deploy its version answers, and no other; the bad ones never did.
    for (const { at, version } of settled.slice(-1)) expect(versionsSince(result, at)).toEqual([version ?? ''])
    expect(await idsOf('db')).toEqual(db)
    expect(await idsOf('web')).toHaveLength(1)
    expectCode(await folder.stagecraft(['status']), 0)
  },
  900_000,
)

/** A small project of somebody else, on the same proxy. */
async function deployOther(text: string): Promise<void> {
  writePage(other, text)
  const web = page(0, { ports: [], environment: { TEXT: text } })
  const settings = { web: { expose: { host: hostOf(other), port: 80, tls: 'off' } } }
  writeApp(other, { services: { web }, settings })
  await deploy(other, text)
}
