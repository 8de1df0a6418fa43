import { PHASES } from '../plan/six-phases.ts'
import { StagecraftError } from '../util/errors.ts'
import { didYouMean } from '../util/nearest.ts'
import type { Release } from './releases-file/format.ts'

/** Further candidates are counted, not listed. */
const MAX_CANDIDATES = 5

export const LIST_HINT = '"stagecraft releases list" shows the releases.'

/**
 * @param releases oldest first
 * @param reference an exact id, an unambiguous beginning of one, a version (its newest release, a completed one if there is),
 *   `latest` or `current`
 * @param environment where to look; default: everywhere
 * @throws StagecraftError `not-found` (4), with the candidates of an ambiguous beginning
 */
export function findRelease(releases: readonly Release[], reference: string, environment?: string): Release {
  const here = environment === undefined ? releases : releases.filter((release) => release.environment === environment)
  const where = environment === undefined ? '' : ` of ${environment}`
  if (reference === 'latest') return here.at(-1) ?? notFound(`the latest release${where}: there is none`)
  if (reference === 'current') {
    return here.findLast(isComplete) ?? notFound(`the current release${where}: none has completed all its phases`)
  }
  const exact = here.find(({ id }) => id === reference)
  return exact ?? findByVersion(here, reference, where) ?? findByPrefix(here, reference, where, releases)
}

/** @returns whether all six phases are `completed` */
export function isComplete({ phases }: Release): boolean {
  return PHASES.every((phase) => phases[phase] === 'completed')
}

function findByVersion(here: readonly Release[], version: string, where: string): Release | undefined {
  const found = here.filter((release) => release.version === version)
  const environments = [...new Set(found.map(({ environment }) => environment))]
  if (environments.length > 1)
    notFound(
      `release ${JSON.stringify(version)}${where}: ${environments.length} environments have that version`,
      `Add --env <name>. Environments: ${environments.toSorted().join(', ')}`,
    )
  return found.findLast(isComplete) ?? found.at(-1)
}

function findByPrefix(here: readonly Release[], prefix: string, where: string, all: readonly Release[]): Release {
  const found = prefix === '' ? [] : here.filter(({ id }) => id.startsWith(prefix))
  const [first, ...others] = found
  if (first && others.length === 0) return first
  const what = `release ${JSON.stringify(prefix)}${where}`
  if (first) return notFound(`${what}: ${found.length} ids begin with that`, `Candidates: ${listed(found)}`)
  const elsewhere = all.find(({ id }) => id === prefix)
  if (elsewhere) return notFound(`${what}: it is a release of ${elsewhere.environment}`)
  return notFound(`${what}: no release has an id that begins with that, or that version`, releasesHint(prefix, here))
}

/** Further back nobody means one. */
const MOST_COMPARED = 1000

/** @param releases oldest first @returns the hint for a release that does not exist, by its version or id */
export function releasesHint(reference: string, releases: readonly Release[]): string {
  const newest = releases.slice(-MOST_COMPARED).toReversed()
  const names = [...newest.map(({ version }) => version), 'latest', 'current', ...newest.map(({ id }) => id)]
  return didYouMean(reference, [...new Set(names)]) + LIST_HINT
}

/** Newest first: people rarely mean an old one. */
function listed(found: readonly Release[]): string {
  const ids = found.toReversed().map(({ id }) => id)
  const rest = ids.length - MAX_CANDIDATES
  return ids.slice(0, MAX_CANDIDATES).join(', ') + (rest > 0 ? ` and ${rest} older` : '')
}

function notFound(what: string, hint = LIST_HINT): never {
  throw new StagecraftError('not-found', `Cannot find ${what}`, { hint })
}
