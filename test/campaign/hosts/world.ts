import { rmSync } from 'node:fs'
import { deploy, expectCode } from '../../e2e/app.ts'
import { cleanUp } from '../../support/clean-up.ts'
import { clockEnvironment } from '../../support/clocks.ts'
import type { Ran, Running } from '../../support/engine.ts'
import type { Folder } from '../../support/folder.ts'
import { host } from '../../support/lab.ts'
import { laptop } from '../../support/laptop.ts'
import type { Version } from '../app.ts'
import { idOf } from '../engine-view.ts'
import { Acknowledged, eventsOf } from '../records.ts'
import { Canaries, newOperator, type Operator } from './operators.ts'
import { type DiskKind, newPlaces, type Place } from './place.ts'
import { type Shop, writeNeighbour, writeShop } from './shop.ts'
import { hostView } from './view.ts'

/** What a host had when everything was in order. */
export interface Baseline {
  readonly networks: readonly string[]
  readonly volumes: readonly string[]
  readonly db: string | undefined
  /** ids of the other project's containers, and that they run */
  readonly neighbour: readonly string[]
}

/** seconds that a run may take under any fault: it ends by itself */
const ENDS_WITHIN = 280
const READS_WITHIN = 120
const PATIENCE = { STAGECRAFT_ENGINE_TIMEOUT: '15s' }

/** Two hosts, two operators, their application and a neighbour's. */
export class World {
  readonly operators: readonly [Operator, Operator] = [newOperator('ana', 'root'), newOperator('ben', 'deploy')]
  readonly shop: Shop
  readonly neighbour: string
  readonly places: readonly Place[]
  readonly canaries: Canaries
  readonly baseline = new Map<string, Baseline>()
  acknowledged = new Acknowledged()
  readonly #running = new Set<Running>()
  #ended = false
  #cleaned: Promise<void> | undefined
  /** releases that are told apart by their version: none is used twice */
  #versions = 0
  #next: Folder

  constructor(
    disk: DiskKind,
    /** libfaketime, where clocks can differ */
    readonly clocks: string | undefined,
  ) {
    const [{ folder }] = this.operators
    const secret = () => `canary-${crypto.randomUUID()}`
    this.shop = { project: folder.name, root: `/srv/${folder.name}`, secrets: { PASSWORD: secret(), TOKEN: secret() } }
    this.canaries = new Canaries(Object.values(this.shop.secrets))
    this.places = newPlaces(this.shop.root, disk)
    this.#next = laptop('h1').folder('neighbour')
    this.neighbour = this.#next.name
  }

  get first(): Place {
    return this.places[0] as Place
  }

  version(fate: Version['fate'], extra: boolean): Version {
    return { name: `v${++this.#versions}`, fate, extra }
  }

  /** Makes hosts and projects, with two releases: there is something to roll back to. */
  async begin(): Promise<void> {
    for (const place of this.places) {
      await place.heal()
      await haveCaddy(place)
      await place.makeDisk()
      await place.run('install -d -m 2770 -g docker "$1"', `/srv/${this.neighbour}`)
    }
    writeNeighbour(this.#next, this.neighbour)
    await deploy(this.#next, 'v1')
    await this.#releases()
  }

  async #releases(): Promise<void> {
    for (const operator of this.operators) {
      const version = this.version('good', operator === this.operators[0])
      expectCode(await this.deploy(operator, version), 0)
      if (version.extra)
        await this.first.run('docker exec "$1-prod-db-1" sh -c "echo precious >/data/file"', this.shop.project)
    }
    for (const place of this.places) {
      const view = await hostView(place, this.shop.project, '')
      const neighbour = (await hostView(place, this.neighbour, '')).containers.map(
        ({ Id, State }) => `${Id} ${State.Status}`,
      )
      const [networks, volumes] = [view.networks.toSorted(), view.volumes.toSorted()]
      this.baseline.set(place.name, { networks, volumes, db: idOf(view, 'db'), neighbour })
    }
  }

  /** After a failed check: recreates everything, so that the next fault is judged by itself. */
  async reset(): Promise<void> {
    for (const place of this.places) {
      await place.heal()
      await cleanUp(place.engine, this.shop.project)
      await place.removeDisk()
    }
    await cleanUp(host('h1'), this.shop.project)
    this.acknowledged = new Acknowledged()
    await this.begin()
  }

  /** Runs a command of an operator to its end, with the operator's clock. */
  async run(operator: Operator, args: readonly string[], timeout = READS_WITHIN): Promise<Ran> {
    const ran = await this.#begin(operator, args, timeout).done
    this.canaries.look(`${args.join(' ')} by ${operator.name}`, ran)
    return ran
  }

  /** Starts a deploy of a version from the operator's checkout, or a rollback. */
  start(operator: Operator, version: Version | undefined, more: readonly string[] = []): Running {
    if (version) writeShop(operator.folder, this.shop, version)
    const what = version ? ['deploy', '--version', version.name] : ['rollback', '--yes']
    const running = this.#begin(operator, [...what, '--json', ...more], ENDS_WITHIN)
    const done = running.done.then((ran) => {
      this.canaries.look(`${what.join(' ')} by ${operator.name}`, ran)
      if (ran.code === 0) this.acknowledged.printed(eventsOf(ran.stdout))
      return ran
    })
    return { ...running, done }
  }

  deploy(operator: Operator, version: Version): Promise<Ran> {
    return this.start(operator, version, ['--wait', '2m']).done
  }

  /** @throws once it was ended: this also ends the current work */
  #begin(operator: Operator, args: readonly string[], timeout: number): Running {
    if (this.#ended) throw new Error('The campaign was ended')
    const running = operator.folder.startStagecraft(args, { timeout, env: this.#environment(operator) })
    this.#running.add(running)
    void running.done.then(() => this.#running.delete(running))
    return running
  }

  /** Starts nothing more, and ends all active runs: for a signal. */
  async end(): Promise<void> {
    this.#ended = true
    await Promise.all([...this.#running].map(({ signal, done }) => signal('KILL').then(() => done)))
  }

  #environment({ skew }: Operator): Record<string, string> {
    return { ...PATIENCE, ...clockEnvironment(this.clocks, skew) }
  }

  cleanUp(): Promise<void> {
    this.#cleaned ??= this.#cleanUp()
    return this.#cleaned
  }

  async #cleanUp(): Promise<void> {
    for (const place of this.places) {
      await place.heal()
      for (const project of [this.shop.project, this.neighbour]) await cleanUp(place.engine, project)
      await place.removeDisk()
      await place.run('rm -rf "$1"', `/srv/${this.neighbour}`)
    }
    for (const folder of [...this.operators.map((each) => each.folder), this.#next]) await folder.cleanUp()
    for (const { home } of this.operators) rmSync(home.here, { recursive: true, force: true })
  }
}

/** Some hosts begin with busybox only, and there is no registry to pull from. */
async function haveCaddy({ engine }: Place): Promise<void> {
  if ((await engine.docker(['image', 'inspect', 'caddy:2'])).code === 0) return
  const builder = laptop('h1')
  const to = `unix://${builder.environment['DOCKER_HOST']?.replace('unix://', '').replace('/h1/', `/${engine.name}/`)}`
  const copied = await builder.exec(['sh', '-c', 'docker save caddy:2 | docker -H "$0" load', to])
  if (copied.code !== 0) throw new Error(`Cannot bring caddy:2 to ${engine.name}: ${copied.stderr}`)
}
