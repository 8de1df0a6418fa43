import { idle, page, QUICK_STOP, writeApp, writePage } from '../e2e/app.ts'
import type { Engine, Ran } from '../support/engine.ts'
import type { Folder } from '../support/folder.ts'
import { summaryOf } from './checks.ts'
import { killAfter } from './kills.ts'

/** A command that is killed, and what must hold once it was called again. */
interface Road {
  readonly name: string
  /** @returns the command */
  readonly prepare: (site: Crossing) => Promise<readonly string[]>
  /** allowed exit codes of the second call; after any other one, `repair` does its work */
  readonly again: readonly number[]
  readonly repair?: (site: Crossing) => Promise<unknown>
  /** @returns what is wrong in the end */
  readonly check: (site: Crossing) => Promise<readonly string[]>
}

/** The result of one kill. */
export interface Crossed {
  readonly title: string
  readonly failures: readonly string[]
}

const PAGE = ['exec', '-T', 'web', 'cat', '/www/index.html']
const IDS = ['ps', '-aq']

/** An application with two environments on one engine. Each round has a page of its own. */
class Crossing {
  readonly folder: Folder
  page = 0

  constructor(readonly engine: Engine) {
    this.folder = engine.folder('roads')
  }

  async begin(): Promise<void> {
    const settings = { staging: {}, prod: {} }
    const services = {
      web: page(0, { ports: ['80'] }),
      worker: { ...idle, ...QUICK_STOP, environment: { A: '${A:-1}' } },
    }
    writePage(this.folder, 'p0')
    writeApp(this.folder, { services, environments: settings, project: { name: this.folder.name } })
    for (const environment of ['staging', 'prod']) await this.must('deploy', '--env', environment, '--version', 'v0')
  }

  /** A page that was never used before. @returns the version that has it */
  next(): string {
    writePage(this.folder, `p${++this.page}`)
    return `v${this.page}`
  }

  run(...args: string[]): Promise<Ran> {
    return this.folder.stagecraft(args, { timeout: 280 })
  }

  async must(...args: string[]): Promise<Ran> {
    const ran = await this.run(...args)
    if (ran.code !== 0) throw new Error(`Cannot ${args.join(' ')}: ${summaryOf(ran)}`)
    return ran
  }

  async token(version: string): Promise<string> {
    const { stdout } = await this.must('plan', '--env', 'prod', '--version', version, '--token')
    return stdout.trimEnd().split('\n').at(-1) ?? ''
  }

  compose(environment: string, ...args: string[]): Promise<Ran> {
    return this.folder.docker(['compose', '-p', `${this.folder.name}-${environment}`, ...args])
  }

  /** @returns what is missing from the live release of an environment, or is left over */
  async wrong(environment: string, page: string, containers = 2): Promise<string[]> {
    const [found, ids] = [await this.compose(environment, ...PAGE), await this.compose(environment, ...IDS)]
    const count = ids.stdout.split('\n').filter(Boolean).length
    return [
      ...(found.stdout.trim() === page ? [] : [`${environment} serves ${found.stdout.trim()}, not ${page}`]),
      ...(count === containers ? [] : [`${environment} has ${count} containers, not ${containers}`]),
    ]
  }
}

const live = async (site: Crossing) => [
  ...(await site.wrong('prod', `p${site.page}`)),
  ...((await site.run('status', '--env', 'prod')).code === 0 ? [] : ['prod is not as released']),
]

export const ROADS: readonly Road[] = [
  {
    name: 'deploy --from',
    prepare: async (site) => {
      await site.must('deploy', '--env', 'staging', '--version', site.next())
      writePage(site.folder, 'not built')
      return ['deploy', '--env', 'prod', '--from', 'staging']
    },
    again: [0],
    check: async (site) => [...(await live(site)), ...(await site.wrong('staging', `p${site.page}`))],
  },
  {
    name: 'deploy --plan',
    prepare: async (site) => {
      const version = site.next()
      return ['deploy', '--env', 'prod', '--version', version, '--plan', await site.token(version)]
    },
    again: [0, 4], // the running state is no longer the planned one: the containers were restored, or are the new ones
    repair: async (site) => {
      const version = `v${site.page}`
      await site.must('deploy', '--env', 'prod', '--version', version, '--plan', await site.token(version))
    },
    check: live,
  },
  {
    name: 'a first deploy over what runs',
    prepare: async (site) => {
      await site.must('down', '--env', 'prod', '--history', '--yes')
      site.next()
      const up = await site.compose('prod', 'up', '-d', '--build')
      if (up.code !== 0) throw new Error(`Cannot start by hand: ${summaryOf(up)}`)
      return ['deploy', '--env', 'prod', '--version', site.next()]
    },
    again: [0],
    check: async (site) => {
      const deployed = await live(site)
      const back = await site.run('rollback', '--env', 'prod', '--yes')
      const adopted = await site.wrong('prod', `p${site.page - 1}`)
      return [...deployed, ...(back.code === 0 ? adopted : [`it does not go back: ${summaryOf(back)}`])]
    },
  },
  {
    name: 'down --history',
    prepare: async () => ['down', '--env', 'prod', '--history', '--yes'],
    again: [0, 4], // it had ended: nothing is deployed
    check: async (site) => {
      const { stdout } = await site.run('releases', 'list', '--env', 'prod')
      const images = await site.folder.docker(['images', '--format', '{{.Tag}}', `${site.folder.name}-prod-web`])
      const tags = images.stdout.split('\n').filter((tag) => tag !== '' && tag !== 'latest') // that one was built by hand
      const left = [
        ...(stdout.includes('No releases yet') ? [] : [`prod has releases: ${stdout}`]),
        ...(tags.length === 0 ? [] : [`images of prod are left: ${tags.join(', ')}`]),
        ...(await site.wrong('prod', '', 0)),
      ]
      await site.must('deploy', '--env', 'prod', '--version', site.next())
      return [...left, ...(await live(site))]
    },
  },
]

/**
 * `kill -9` of commands that the other campaigns do not call, each in turn, at a random instant. Each is called once more.
 * @param roll decides everything but the speed of the machine
 */
export async function roads(
  engine: Engine,
  { count, roll, seed }: { readonly count: number; readonly roll: (sides: number) => number; readonly seed: string },
  print: (line: string) => void = () => {},
): Promise<Crossed[]> {
  const site = new Crossing(engine)
  const took = new Map<Road, number>()
  const done: Crossed[] = []
  try {
    await site.begin()
    for (let round = 0; round < count; round++) {
      const road = ROADS[round % ROADS.length] as Road
      const fraction = (1 + roll(10_000)) / 10_000
      const how = roll(2) === 0 ? 'alone' : 'group'
      const argv = await road.prepare(site)
      const began = performance.now()
      const limit = fraction * (took.get(road) ?? 3000)
      const running = site.folder.startStagecraft(argv)
      const ran = await killAfter(engine, running, limit, how)
      if (ran.code === 0) took.set(road, performance.now() - began)
      const title = `seed ${seed}, ${round}: ${road.name} killed ${how} after ${limit.toFixed(0)} ms`
      const failures = await crossAgain(road, site, argv)
      done.push({ title, failures })
      print([`${failures.length === 0 ? 'ok' : 'FAILED'} ${title}: exit ${ran.code}`, ...failures].join('\n  - '))
    }
  } finally {
    await site.folder.cleanUp()
    for (const name of ['staging', 'prod']) await engine.cleanUp(`${site.folder.name}-${name}`)
  }
  return done
}

async function crossAgain(road: Road, site: Crossing, argv: readonly string[]): Promise<string[]> {
  const again = await site.run(...argv, '--wait', '2m')
  if (!road.again.includes(again.code)) return [`called again: ${summaryOf(again)}`]
  if (again.code !== 0) await road.repair?.(site)
  return [...(await road.check(site))]
}
