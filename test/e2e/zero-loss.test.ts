import { afterAll, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DEATHS, type Death, deployAndDie } from '../load/death.ts'
import { type LoadGenerator, movedRequests, startLoad, versionsBetween } from '../load/load.ts'
import { callsOf, hostOf, writeSite } from '../load/site.ts'
import { mostAtOnce, watchContainers } from '../load/watch.ts'
import { host, isUp } from '../support/lab.ts'
import { deploy, expectCode, releases as recordsOf, until, writeApp } from './app.ts'

/** `npm run campaign -- --only rolling` asks for 20, and then for every death; without it there is one in the switch and one in retire (prepare is in test/e2e/faults.test.ts). */
const ROLLOUTS = Number(process.env['STAGECRAFT_ROLLOUTS'] ?? 3)
const deaths = process.env['STAGECRAFT_ROLLOUTS'] ? DEATHS : DEATHS.filter(({ inShort }) => inShort)

// No request is lost, however a rollout ends. On a host of its own: all its projects share one proxy, and a route that
// another test changed would have the proxy load a configuration, which may reset connections.
const lab = test.skipIf(!isUp('h3'))
const h3 = host('h3')
const folder = h3.folder('site')
const other = h3.folder('other')
let load: LoadGenerator | undefined
let otherLoad: LoadGenerator | undefined
let watch: ReturnType<typeof watchContainers> | undefined
afterAll(async () => {
  await Promise.allSettled([load?.stop(), otherLoad?.stop(), watch?.stop()]) // that of a failed test still runs
  await Promise.all([folder.cleanUp(), other.cleanUp()])
})

/** When a release ended, and which version answers from then on. */
const settled: { at: number; version: string }[] = []
const failed: string[] = []
let made = 0

async function release(more: { bad?: boolean; replicas?: number; network?: string } = {}): Promise<void> {
  const version = `v${++made}`
  writeSite(folder, { version, ...more })
  const { stderr } = await deploy(folder, version, more.bad ? 5 : 0)
  if (!more.bad) return void settled.push({ at: load?.now() ?? 0, version })
  expect(stderr).toContain('Cannot start web: its healthcheck says unhealthy')
  failed.push(version)
}

async function rollBack(): Promise<void> {
  expectCode(await folder.stagecraft(['rollback']), 0)
  settled.push({ at: load?.now() ?? 0, version: recordsOf(folder).at(-1)?.version ?? '' })
}

async function dieAt(death: Death): Promise<void> {
  const version = `v${++made}`
  writeSite(folder, { version })
  await deployAndDie(folder, version, death)
}

async function containersOf(service: string): Promise<string[]> {
  const own = (await folder.containers()).filter((container) => container.service === service)
  return own.map(({ id, started }) => `${id} ${started}`)
}

/** Another small project on the same proxy. */
async function deployOther(version: string): Promise<void> {
  other.write('server.mjs', readFileSync(join(import.meta.dir, '../load/server.mjs'), 'utf8'))
  other.write('Dockerfile', 'FROM node:20\nCOPY server.mjs /app/\nCMD ["node", "/app/server.mjs"]\n')
  other.write('.dockerignore', '.stagecraft\n')
  const expose = { host: hostOf(other), port: 3000, health: '/up', tls: 'off' }
  writeApp(other, {
    services: { web: { build: '.', environment: { VERSION: version } } },
    settings: { web: { expose } },
  })
  await deploy(other, version)
}

lab(
  'rollouts, failed ones, a rollback and killed ones lose no request, and touch no database',
  async () => {
    await release()
    await deployOther('one') // Adds a route: that is before the load.
    const db = await containersOf('db')
    await until('front calls api', async () => (await callsOf(folder, h3.ip)).ok > 20 || 'not yet')
    const callsBefore = await callsOf(folder, h3.ip)
    const before = await folder.containers()
    watch = watchContainers(h3, folder.name, 2400)
    load = await startLoad({ ip: h3.ip, host: hostOf(folder), rate: 300, seconds: 2400 })
    otherLoad = await startLoad({ ip: h3.ip, host: hostOf(other), rate: 30, seconds: 2400, long: false })

    // One in four to a version that never becomes healthy; with one and with three replicas; a network changes meanwhile.
    for (let number = 1; number <= ROLLOUTS; number++) {
      await release({
        bad: number % 4 === 2,
        replicas: number % 3 === 1 ? 3 : 1,
        network: number % 2 === 0 ? 'one' : 'two',
      })
      if (number === 3 || number === 12) await rollBack()
    }
    await deployOther('two')

    // Killed in the switch and in retire; the next deploy repairs it, and continues.
    for (const death of deaths) {
      await dieAt(death)
      await release()
    }

    await Bun.sleep(1000)
    const [result, others] = [await load.stop(), await otherLoad.stop()]
    const calls = await callsOf(folder, h3.ip)
    expect(result.failures).toEqual([])
    expect(others.failures).toEqual([])
    const lost = calls.failed - callsBefore.failed
    expect({ lost, failures: calls.failures }).toEqual({ lost: 0, failures: callsBefore.failures })
    expect(movedRequests(result)).toEqual([])
    expect(result.made).toBeGreaterThan(5_000)
    expect(calls.ok - callsBefore.ok).toBeGreaterThan(1_000)

    for (const { at, version } of settled.slice(1))
      expect(versionsBetween(result, at, at + 400), version).toEqual([version])
    expect([...result.versions, ...Object.keys(calls.versions)].filter((version) => failed.includes(version))).toEqual(
      [],
    )

    // The database is left alone; services with a volume or shared namespace are recreated; the job ran each time.
    const events = await watch.stop()
    const count = (service: string) =>
      events.filter((event) => event.service === service && event.action === 'start').length
    expect(await containersOf('db')).toEqual(db)
    expect(events.filter(({ service }) => service === 'db')).toEqual([])
    // After the third one the first is restored, with three replicas, and the fourth has three as well.
    const web = ROLLOUTS > 3 ? 6 : 4
    expect(mostAtOnce(events, before)).toMatchObject({ web, api: 2, db: 1, cache: 1, side: 1, back: 1 })
    for (const service of ['job', 'cache', 'side']) expect(count(service), service).toBeGreaterThanOrEqual(ROLLOUTS)
    expect(await containersOf('web')).toHaveLength(1)
    expectCode(await folder.stagecraft(['status']), 0)
  },
  2_400_000,
)

lab('a load that is lost counts: without its containers, requests fail', async () => {
  const target = { ip: h3.ip, host: hostOf(other), rate: 20, seconds: 60, long: false }
  const short = await startLoad(target)
  expectCode(
    await other.exec([
      'sh',
      '-c',
      `docker stop -t 0 $(docker ps -q --filter label=com.docker.compose.project=${other.name})`,
    ]),
    0,
  )
  await Bun.sleep(2000)
  const { failures } = await short.stop()
  expect(failures.length).toBeGreaterThan(0)
})
