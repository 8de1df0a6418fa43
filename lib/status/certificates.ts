import { isWildcard } from '../config/edge/expose.ts'
import type * as contract from '../output/contract/status.ts'
import type { CertificateState } from '../proxy/certificates/certificate.ts'
import { DAY } from '../util/duration.ts'
import { formatMinute, hostTable, plainLine } from '../util/format.ts'
import type { Of } from '../util/schema.ts'

/** The certificate of a host name, and what is wrong with it. */
export type CertificateStatus = Of<typeof contract.certificate>

/** @param now milliseconds since the epoch */
export function judgeCertificate(state: CertificateState, now: number): CertificateStatus {
  const problem = problemOf(state, now)
  return problem === undefined ? state : { ...state, problem }
}

function problemOf(state: CertificateState, now: number): string | undefined {
  const { name, from, until, requested, tls, error } = state
  if (state.on_demand) return isWildcard(name) && error !== undefined ? `no new name gets one: ${error}` : undefined
  if (until === undefined || from === undefined)
    return requested ? 'there is none yet: it is being requested' : 'there is none'
  const [begin, end] = [Date.parse(from), Date.parse(until)]
  if (end <= now) return `it ended ${formatMinute(until)}`
  if (tls === 'internal' || end - now >= leastLeft(end - begin)) return undefined
  if (tls === 'own') return `it ends ${formatMinute(until)}: replace it, and deploy`
  return `it ends ${formatMinute(until)}, and should have been renewed by now`
}

/** @returns milliseconds before its end by which a certificate of this life has long been renewed: Caddy does at a third */
export function leastLeft(life: number): number {
  return Math.min(14 * DAY, life / 4)
}

/** @returns a table, and a line for each that has a problem, or could not be renewed */
export function certificateLines(all: readonly CertificateStatus[]): string[] {
  if (all.length === 0) return []
  const rows = all.map(({ host, name, until, issuer, on_demand: isAsked }) => ({
    host,
    cells: [
      plainLine(name),
      until === undefined ? '-' : formatMinute(until),
      plainLine(issuer ?? (isAsked ? 'on demand' : '-')),
    ],
  }))
  const lines = all.flatMap(({ host, name, problem, error, failed_at: at, on_demand: isAsked }) => {
    if (problem === undefined && error === undefined) return []
    const where = host === undefined ? name : `${name} on ${host}`
    const what = problem ?? (isAsked ? 'it was asked for' : 'it is not renewed yet')
    const tried = error === undefined || at === undefined ? '' : `tried ${formatMinute(at)}: ${error}`
    return [`${where}: ${[what, tried].filter(Boolean).join('; ')}`]
  })
  return [
    ...hostTable(rows, ['CERTIFICATE', 'UNTIL', 'ISSUER']),
    ...(lines.length === 0 ? [] : ['', ...lines.map(plainLine)]),
  ]
}
