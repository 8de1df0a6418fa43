import { StagecraftError } from './errors.ts'
import { PHASES, type Release } from './state-format.ts'

/** More candidates than this are counted, not listed. */
const MAX_CANDIDATES = 5

/** What to do when there is no such release. */
export const LIST_HINT = '"stagecraft releases list" shows the releases.'

/**
 * @param releases oldest first.
 * @param reference an exact id, an unambiguous beginning of one, `latest` or `current`.
 * @param environment where to look. Default: everywhere.
 * @throws StagecraftError `not-found`, naming the candidates of an ambiguous beginning.
 */
export function findRelease(releases: readonly Release[], reference: string, environment?: string): Release {
  const here = environment === undefined ? releases : releases.filter((release) => release.environment === environment)
  const where = environment === undefined ? '' : ` of ${environment}`
  if (reference === 'latest') return here.at(-1) ?? notFound(`the latest release${where}: there is none`)
  if (reference === 'current') {
    return here.findLast(isComplete) ?? notFound(`the current release${where}: none has completed all its phases`)
  }
  const exact = here.find(({ id }) => id === reference)
  return exact ?? findByPrefix(here, reference, where, releases)
}

/** @returns whether all six phases are `completed`. */
export function isComplete({ phases }: Release): boolean {
  return PHASES.every((phase) => phases[phase] === 'completed')
}

function findByPrefix(here: readonly Release[], prefix: string, where: string, all: readonly Release[]): Release {
  const found = prefix === '' ? [] : here.filter(({ id }) => id.startsWith(prefix))
  const [first, ...others] = found
  if (first && others.length === 0) return first
  const what = `release ${JSON.stringify(prefix)}${where}`
  if (first) return notFound(`${what}: ${found.length} ids begin so`, `Candidates: ${listed(found)}`)
  const elsewhere = all.find(({ id }) => id === prefix)
  if (elsewhere) return notFound(`${what}: it is a release of ${elsewhere.environment}`)
  return notFound(`${what}: no id begins so`)
}

/** Newest first: the one that is meant is rarely old. */
function listed(found: readonly Release[]): string {
  const ids = found.toReversed().map(({ id }) => id)
  const rest = ids.length - MAX_CANDIDATES
  return ids.slice(0, MAX_CANDIDATES).join(', ') + (rest > 0 ? ` and ${rest} older` : '')
}

function notFound(what: string, hint = LIST_HINT): never {
  throw new StagecraftError('not-found', `Cannot find ${what}`, { hint })
}
