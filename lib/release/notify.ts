import type { NotifyConfig } from '../config/notify.ts'
import type { Session } from '../project/session.ts'
import { readVariable, type Settings } from '../project/settings.ts'
import { type Ending, type ReleaseDocument, releaseDocument } from '../record/release-json.ts'
import type { State } from '../record/releases.ts'
import type { Release } from '../record/releases-file/format.ts'
import { createSecrets, maskJson } from '../secrets/mask.ts'
import { errorText } from '../util/errors.ts'
import { formatDuration } from '../util/format.ts'

/** Sends a release that has ended. Never throws. */
export type Notify = (state: State, release: Release, ending: Ending, recovery?: Recovery) => Promise<void>

/** What the next command did about a release whose run had died. */
interface Recovery {
  readonly outcome: string
  readonly message: string
}

interface Target extends NotifyConfig {
  readonly url: string
  /** why its source could not be read */
  readonly unread?: string
}

/** Milliseconds of one attempt, and pauses between attempts. */
const PATIENCE = 5_000
const PAUSES = [1_000, 2_000]

/**
 * Reads where releases are sent (spec/core/notify.md). The URLs are secrets from then on.
 * @returns a function that sends one, which does nothing if nobody is to be notified
 */
export async function openNotify(settings: Settings, session: Session): Promise<Notify> {
  const { notify = [] } = settings.environment
  const all = await Promise.all(notify.map((one) => readTarget(one, settings)))
  const secrets = session.secrets ?? createSecrets()
  secrets.add(all.flatMap(({ url }) => (url === '' ? [] : [url, ...pathsOf(url)])))
  const targets = all.filter((target) => {
    const why = whyNot(target)
    if (why !== undefined) session.emit({ type: 'warning', message: `no notification is sent: ${why}` })
    return why === undefined
  })
  return async (state, release, ending, recovery) => {
    if (targets.length === 0) return
    try {
      const document = { ...releaseDocument(state, release, ending), ...(recovery ? { recovery } : {}) }
      const masked = maskJson(document, secrets.mask) as typeof document // strings are masked, nothing else
      await Promise.all(targets.map((target) => deliver(target, masked, session)))
    } catch (error) {
      session.emit({ type: 'warning', message: `no notification is sent: ${errorText(error)}` })
    }
  }
}

/** A password manager that is signed out keeps no release, and no recovery, from going on. */
async function readTarget(one: NotifyConfig, settings: Settings): Promise<Target> {
  try {
    return { ...one, url: (await readVariable(settings, one.url_env)).trim() }
  } catch (error) {
    return { ...one, url: '', unread: error instanceof Error ? error.message : String(error) }
  }
}

/** The path of a webhook's URL is what makes it secret, and is printed by some without the rest. */
function pathsOf(url: string): string[] {
  const { pathname, search } = URL.canParse(url) ? new URL(url) : { pathname: '', search: '' }
  return [pathname, search].filter((part) => part.length > 1)
}

function whyNot({ url, url_env: name, unread }: Target): string | undefined {
  if (unread !== undefined) return unread
  if (url === '') return `${name} is not set`
  const isUrl = URL.canParse(url) && ['http:', 'https:'].includes(new URL(url).protocol)
  return isUrl ? undefined : `the value of ${name} is not a URL that begins with http:// or https://`
}

async function deliver(target: Target, document: ReleaseDocument, { emit, clock }: Session): Promise<void> {
  const body = JSON.stringify(target.format === 'slack' ? { text: slackText(document) } : document)
  let failure: Failure | undefined
  for (const pause of [...PAUSES, undefined]) {
    failure = await post(target.url, body)
    if (failure === undefined) return
    if (!failure.isPassing || pause === undefined) break
    await clock.sleep(pause)
  }
  emit({
    type: 'warning',
    message: `the notification to ${target.url_env} was not delivered: ${failure?.why}`,
  })
}

interface Failure {
  readonly why: string
  /** another attempt may do better */
  readonly isPassing: boolean
}

async function post(url: string, body: string): Promise<Failure | undefined> {
  const headers = { 'content-type': 'application/json', 'user-agent': 'stagecraft' }
  const request = { method: 'POST', headers, body, redirect: 'manual', signal: AbortSignal.timeout(PATIENCE) } as const
  try {
    const { ok, status, statusText } = await fetch(url, request)
    if (ok) return undefined
    return { why: `it answers ${status} ${statusText}`.trimEnd(), isPassing: status === 429 || status >= 500 }
  } catch (error) {
    return { why: `it does not answer${codeOf(error)}`, isPassing: true }
  }
}

/** The error's text may have the URL; its code is a word such as ECONNREFUSED. */
function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
  return /^[A-Za-z_]+$/.test(code) ? ` (${code})` : ''
}

/** @returns what happened, in one line */
export function slackText({ status, command, release, details, live }: ReleaseDocument): string {
  const { id, environment, version, phase } = release as { [key in 'id' | 'environment' | 'version' | 'phase']: string }
  const { project, actor, error, phases = {} } = (details ?? {}) as Details
  const name = project === undefined ? '' : `${project.replace(new RegExp(`-${environment}$`), '')}: `
  const by = actor ? ` by ${actor.user}` : ''
  const took = formatDuration(Object.values(phases).reduce((sum, { duration_ms }) => sum + duration_ms, 0))
  if (status === 'completed' && command === 'deploy')
    return `${name}${version} is live in ${environment} (${id}), deployed${by} in ${took}`
  if (status === 'completed')
    return `${name}${version} is live in ${environment} again (${id}), rolled back${by} in ${took}`
  const what = `the ${command} of ${version} ${command === 'deploy' ? 'to' : 'in'} ${environment}`
  const how = status === 'interrupted' ? 'was interrupted' : 'failed'
  const why = status === 'failed' && error ? `: ${error.message}` : ''
  const now = live === null ? 'No release is live.' : `${live.version} is live.`
  return `${name}${what} ${how}${phase ? ` in ${phase}` : ''} (${id})${why}. ${now}`
}

/** The part of `details` that a text needs. */
interface Details {
  readonly project?: string
  readonly actor?: { readonly user: string }
  readonly error?: { readonly message: string }
  readonly phases?: Readonly<Record<string, { readonly duration_ms: number }>>
}
