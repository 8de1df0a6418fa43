import type { Ran } from '../../support/engine.ts'
import type { Version } from '../app.ts'
import { type Failures, summaryOf } from '../checks.ts'
import { idOf, unequal } from '../engine-view.ts'
import { eventsOf } from '../records.ts'
import type { Place } from './place.ts'
import { hasJob, NAMES } from './shop.ts'
import { answerOf, historyOf, hostView, isOpen, serviceOf, versionOf, versionsRunning } from './view.ts'
import type { World } from './world.ts'

/** Exit codes that no fault justifies: a bug, wrong usage, configuration, not found. */
const NEVER = [1, 2, 3, 4]

/** The claim of an exit code is only checked if no one else has deployed meanwhile. */
export interface Claimed {
  /** the version that was live before the run */
  readonly before: string
  /** milliseconds within which it answers */
  readonly within: number
}

/** Whether a run's exit code is true. Asked right after its end. */
export async function checkExit(
  world: World,
  ran: Ran,
  allowed: readonly number[],
  claimed: Claimed | undefined,
): Promise<Failures> {
  const error = eventsOf(ran.stdout).find(({ type }) => type === 'finished') as
    | { error?: { message?: string; detail?: string } }
    | undefined
  const said = `${error?.error?.message ?? ''}\n${error?.error?.detail ?? ''}\n${ran.stderr}`
  const failures: Failures = []
  if (NEVER.includes(ran.code) || !allowed.includes(ran.code))
    failures.push(`it ended with ${ran.code}, not ${allowed.join(' or ')}`)
  const released = (eventsOf(ran.stdout).find(({ type }) => type === 'release') as { version?: string } | undefined)
    ?.version
  const live = { 0: released, 10: released, 5: claimed?.before }[ran.code]
  if (claimed && live !== undefined) failures.push(...(await checkServes(world, live, ran.code, claimed.within)))
  const names = NAMES.some((name) => said.includes(name)) || said.includes(world.shop.root)
  // An engine without a host is the laptop's own.
  const own = ran.code === 8 && said.includes('the Docker engine: ')
  if ([6, 8, 9].includes(ran.code) && !names && !own)
    failures.push(`exit ${ran.code} names no host and no file: ${summaryOf(ran)}`)
  return failures
}

/** A version answers on all hosts, through their proxies, and is what is recorded as live. */
async function checkServes(world: World, version: string, code: number, within: number): Promise<Failures> {
  const end = performance.now() + within
  for (;;) {
    const { live } = await historyOf(world.first, world.shop)
    const answers = await Promise.all(world.places.map((place) => answerOf(place, world.shop.project)))
    const wrong = answers.flatMap((answer, at) => (answer === version ? [] : [`${NAMES[at]} answers ${answer}`]))
    if (live !== version) wrong.push(`${live} is recorded as live`)
    if (wrong.length === 0) return []
    if (performance.now() > end) return wrong.map((what) => `exit ${code}, but ${what}, not ${version}`)
    await Bun.sleep(200)
  }
}

/** Every host runs one version, the one that is recorded as live, and nothing else. */
export async function checkOneVersion(world: World, also: { readonly answers: boolean }): Promise<Failures> {
  const { live } = await historyOf(world.first, world.shop)
  const failures = await Promise.all(
    world.places.map(async (place) => {
      const versions = versionsRunning(await hostView(place, world.shop.project, live ?? ''))
      const answer = also.answers ? await answerOf(place, world.shop.project) : live
      return [
        ...unequal(`what runs on ${place.name}`, versions, live === undefined ? [] : [live]),
        ...(answer === live ? [] : [`${place.name} answers ${answer}, not ${live}`]),
      ]
    }),
  )
  return failures.flat()
}

/** After a deploy that ended with 0: everything is there, and nothing else. */
export async function checkAll(world: World, version: Version): Promise<Failures> {
  const { releases, live } = await historyOf(world.first, world.shop)
  const hosts = await Promise.all(world.places.map((place) => checkHost(world, place, version)))
  return [
    ...releases.filter(isOpen).map(({ id }) => `${id} is still open`),
    ...world.acknowledged.observe(releases).map((what) => `an acknowledged record was lost: ${what}`),
    ...unequal('the live version', live, version.name),
    ...hosts.flat(),
    ...(await checkNeighbour(world)),
  ]
}

async function checkHost(world: World, place: Place, version: Version): Promise<Failures> {
  const { name, extra } = version
  const first = place === world.first
  const { project } = world.shop
  const view = await hostView(place, project, name)
  const wanted = ['api', ...(first ? ['db'] : []), ...(extra ? ['extra'] : []), 'web']
  const of = (state: string) =>
    view.containers
      .filter((each) => each.State.Status === state)
      .map(serviceOf)
      .sort()
  const others = view.containers
    .filter(({ State }) => State.Status !== 'running')
    .map((each) => `${serviceOf(each)} ${each.State.Status} ${each.State.ExitCode}`)
  const old = view.containers
    .filter((each) => ![name, undefined].includes(versionOf(each)))
    .map((each) => `${serviceOf(each)} ${versionOf(each)}`)
  const web = view.containers.find((each) => serviceOf(each) === 'web')
  const conf = await place.engine.docker(['exec', `${project}-prod-api-1`, 'cat', '/conf/version.txt'], {
    timeout: 120,
  })
  const baseline = world.baseline.get(place.name)
  const problems = [
    ...unequal('what runs', of('running'), wanted),
    ...unequal('what else is there', others, first && hasJob(version) ? ['setup exited 0'] : []),
    ...unequal('containers of other versions', old, []),
    ...unequal('the image of web', web?.Image, view.webImage),
    ...unequal('the files of api', conf.stdout.trim(), name),
    ...unequal('networks', view.networks.toSorted(), baseline?.networks),
    ...unequal('volumes', view.volumes.toSorted(), baseline?.volumes),
    ...(first ? unequal('the container of db', idOf(view, 'db'), baseline?.db) : []),
    ...(first ? unequal('the data of db', view.data, 'precious') : []),
    ...unequal('the page', await answerOf(place, project), name),
    ...unequal('scripts that still run there', await scripts(place), []),
    ...unequal('files that are left over', await leftovers(place), []),
  ]
  return problems.map((problem) => `${place.name}: ${problem}`)
}

/** Half-written and temporary files below the root: names that begin with a dot, or say so. */
async function leftovers(place: Place): Promise<string[]> {
  const { stdout } = await place.try(
    `cd "$0" && find . -path ./lost+found -prune -o \\( -name '.?*' -o -name '*.tmp' \\) -print`,
  )
  return stdout.split('\n').filter(Boolean)
}

/** Our processes on the host, by their name; those of a run that ended may take 20 s to notice it. */
async function scripts(place: Place): Promise<string[]> {
  for (let tries = 0; ; tries++) {
    const { stdout } = await place.try(`ps -eo pid=,args= | grep '[ ]stagecraft /[s]rv/' | cut -c1-60; :`)
    const lines = stdout.split('\n').filter(Boolean)
    if (lines.length === 0 || tries >= 120) return lines
    await Bun.sleep(500)
  }
}

/** The other project of the hosts: the same containers, its data, its route. */
async function checkNeighbour({ places, neighbour, baseline }: World): Promise<Failures> {
  const failures = await Promise.all(
    places.map(async (place) => {
      const answer = await answerOf(place, neighbour)
      const ids = (await hostView(place, neighbour, '')).containers.map(({ Id, State }) => `${Id} ${State.Status}`)
      return [
        ...unequal(`the neighbour's containers on ${place.name}`, ids, baseline.get(place.name)?.neighbour),
        ...(answer === neighbour ? [] : [`the neighbour on ${place.name} answers ${answer}`]),
      ]
    }),
  )
  return failures.flat()
}
