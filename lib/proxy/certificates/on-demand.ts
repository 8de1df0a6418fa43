import { ANY, isWildcard } from '../../config/edge/expose.ts'
import { askedRoutes } from '../../plan/routes/certificates.ts'
import type { ProjectRoutes } from '../../plan/routes/table.ts'
import { compare } from '../../util/format.ts'
import type { Attempt, CertificateState } from './certificate.ts'

/** A host whose names get a certificate when a visitor asks for one, and the service that allows it. */
interface AskedHost {
  readonly host: string
  readonly service: string
  readonly ask: string
}

export function askedIn(projects: ProjectRoutes): AskedHost[] {
  const all = Object.values(projects)
    .flat()
    .map((route) => ({ route }))
  return [...askedRoutes(all)].map(([host, { route }]) => ({ host, service: route.service, ask: route.ask ?? '' }))
}

/** @returns a name of nobody, which shows whether the service answers */
export function nameToAsk(host: string): string {
  return host === ANY ? 'stagecraft-asks.invalid' : host.replace('*', 'stagecraft-asks')
}

/** Of names that visitors have asked for. */
const MOST_FAILURES = 5

/**
 * @param printed by the proxy: a line `asked <name> <status line>` for each host
 * @param failed what became of the last attempt for a name, of names that are in no route
 * @returns a state for each host with a `*`, and for the last names whose certificates could not be had
 */
export function onDemand(
  asked: readonly AskedHost[],
  printed: string,
  failed: ReadonlyMap<string, Attempt>,
): CertificateState[] {
  const answers = new Map(
    [...printed.matchAll(/^asked (\S+) (?:HTTP\S* (\d{3}))?/gm)].map(([, name, status]) => [name, status]),
  )
  const hosts = asked.map(({ host, service, ask }): CertificateState => {
    const answer = Number(answers.get(nameToAsk(host)) ?? 0)
    const error = whyNobody(answer, `${service}, asked for ${ask},`)
    const base = { name: host, service, tls: 'auto', on_demand: true } as const
    return { ...base, ...(answer > 0 ? { answer } : {}), ...(error === undefined ? {} : { error }) }
  })
  const closest = asked.toSorted((a, b) => b.host.length - a.host.length)
  const names = [...failed].flatMap(([name, attempt]): CertificateState[] => {
    const host = closest.find((one) => isOf(one.host, name))
    return host ? [{ name, service: host.service, tls: 'auto', on_demand: true, ...attempt }] : []
  })
  const newest = names.toSorted((a, b) => compare(b.failed_at ?? '', a.failed_at ?? ''))
  return [...hosts, ...newest.slice(0, MOST_FAILURES)]
}

/** Only 2xx is a yes; an error says nothing about the name. */
function whyNobody(answer: number, who: string): string | undefined {
  if (answer === 0) return `${who} does not answer`
  if (answer >= 500) return `${who} answers ${answer}`
  return answer >= 300 && answer < 400 ? `${who} redirects (${answer}), which is a no` : undefined
}

function isOf(host: string, name: string): boolean {
  if (host === ANY) return true
  return isWildcard(host) && name.endsWith(host.slice(1)) && !name.slice(0, -host.length + 1).includes('.')
}
