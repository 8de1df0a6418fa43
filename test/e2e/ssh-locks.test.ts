import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Site } from '../scenes/site.ts'
import { isUp } from '../support/lab.ts'
import { deploy, expectCode, idle, type ServiceSource, until } from './app.ts'

// A run whose lock is lost while it sleeps, one that hangs behind another one's writing, and a freeze during a run.
describe.skipIf(!isUp('h2') || !isUp('h1'))('the lock of an environment on a host', () => {
  const site = new Site('h2', 'deploy@h2', 'locks')
  const { folder, server } = site
  /** Never healthy: the deploy waits for it, long enough for something to happen. */
  const slow: ServiceSource = {
    ...idle,
    healthcheck: { test: ['CMD', 'false'], interval: '1s', retries: 600 },
  }

  beforeAll(async () => {
    await site.begin()
    await deploy(folder, 'v0')
  })
  afterAll(() => site.cleanUp())

  const services = async () => (await site.containers()).map((line) => line.split(' ')[0] ?? '')

  async function underWay(version: string) {
    site.write({ services: { ...site.app().services, slow } })
    const deploying = folder.startStagecraft(['deploy', '--version', version], { timeout: 600 })
    await until('the new service is there', async () => (await services()).includes('slow') || 'not yet')
    site.write()
    return deploying
  }

  test('a run that sleeps for more than 15 s wakes up without a connection: what a colleague deployed meanwhile stays', async () => {
    const sleeping = await underWay(`v-asleep-${folder.name}`)
    const all = pgrep('-f', `version v-asleep-${folder.name}`).flatMap(treeOf)
    for (const pid of all) send(pid, 'SIGSTOP')
    try {
      const { stderr } = await deploy(folder, 'v-colleague', 0, ['--wait', '2m'])
      expect(stderr).toContain('v-asleep')
    } finally {
      for (const pid of all) send(pid, 'SIGCONT')
    }
    const after = await site.containers()
    expect(await sleeping.done).toMatchObject({ code: 8 })
    expect(await site.containers()).toEqual(after)
    expectCode(await folder.stagecraft(['status']), 0)
  })

  test('a freeze says who is at work, and with --wait it returns once no run is active', async () => {
    const running = await underWay('v-held')
    const hold = ['lock', 'hold', '--message', 'moving the database']
    const first = await folder.stagecraft(hold)
    expectCode(first, 7)
    expect(first.stderr).toContain('deploy of v-held')
    const waiting = folder.startStagecraft([...hold, '--wait', '2m'])
    await running.signal('INT')
    await running.done
    expect(await waiting.done).toMatchObject({ code: 0 })
    expectCode(await folder.stagecraft(['deploy', '--version', 'v-refused']), 7)
    expectCode(await folder.stagecraft(['lock', 'release']), 0)
  })

  test('a run that hangs while writing is named; a signal ends the waiting at once', async () => {
    const held = `setsid flock ${site.kept}/locks/state sleep 300 >/dev/null 2>&1 & echo $!`
    const holder = (await server.exec(['sh', '-c', held])).stdout.trim()
    try {
      const waiting = folder.startStagecraft(['deploy', '--version', 'v-stuck'])
      await until('it says so', () => /waiting: for flock \(pid \d+, root\)/.test(waiting.output()) || 'not yet')
      const began = performance.now()
      await waiting.signal('TERM')
      expect(await waiting.done).toMatchObject({ code: 143 })
      expect(performance.now() - began).toBeLessThan(60_000)
    } finally {
      await server.exec(['sh', '-c', `kill ${holder}; pkill -f "locks/[s]tate sleep 300"; true`])
    }
  })
})

function pgrep(...args: string[]): number[] {
  const { stdout } = Bun.spawnSync(['pgrep', ...args])
  return stdout.toString().split('\n').filter(Boolean).map(Number)
}

/** A process and all below it. */
function treeOf(pid: number): number[] {
  return [pid, ...pgrep('-P', String(pid)).flatMap(treeOf)]
}

function send(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
  try {
    process.kill(pid, signal)
  } catch {
    // it has ended
  }
}
