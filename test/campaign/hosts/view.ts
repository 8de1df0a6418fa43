import { PHASES } from '../../../lib/plan/six-phases.ts'
import { parseReleases, type Release } from '../../../lib/record/releases-file/format.ts'
import { type View, viewOf } from '../engine-view.ts'
import type { Place } from './place.ts'
import { hostOf, type Shop } from './shop.ts'

/** The recorded state of the environment, as found on the first host. */
export interface History {
  readonly releases: readonly Release[]
  /** the version of the live release, as its bundle says; undefined: none */
  readonly live: string | undefined
}

const READ = `cd "$0/$1/prod" 2>/dev/null || exit 0
cat releases.json 2>/dev/null
for file in releases/*/release.json; do grep -q '"switched_at"' "$file" 2>/dev/null && printf '\\n--- %s' "$file"; done; :`

/** @throws what is wrong with the file */
export async function historyOf(place: Place, { project }: Shop): Promise<History> {
  const [text = '', ...switched] = (await place.run(READ, project)).split('\n--- ')
  if (text === '') return { releases: [], live: undefined }
  const releases = parseReleases(text)
  const ids = new Set(switched.map((file) => file.split('/')[1]))
  return { releases, live: releases.findLast(({ id }) => ids.has(id))?.version }
}

/** A release that no run has ended. */
export function isOpen({ phases }: Release): boolean {
  return PHASES.some((phase) => ['running', 'pending'].includes(phases[phase]))
}

/** What one host has of the application. */
export async function hostView({ engine }: Place, project: string, version: string): Promise<View> {
  return viewOf({ folder: { name: `${project}-prod`, exec: engine.exec } }, version)
}

/** Asks the proxy of a host for the page of a project. @returns its body, or what came instead */
export async function answerOf({ engine }: Place, project: string): Promise<string> {
  const url = `http://${engine.ip}/`
  try {
    const response = await fetch(url, {
      headers: { Host: hostOf(project) },
      signal: AbortSignal.timeout(5000),
      keepalive: false,
    })
    const body = (await response.text()).trim()
    return response.status === 200 ? body : `status ${response.status}`
  } catch (error) {
    return `no answer: ${error instanceof Error ? error.message : error}`
  }
}

type Inspected = View['containers'][number]

export const serviceOf = ({ Config }: Inspected) => Config.Labels['com.docker.compose.service'] ?? '?'

export function versionOf({ Config }: Inspected): string | undefined {
  return Config.Env?.find((line) => line.startsWith('VERSION='))?.slice('VERSION='.length)
}

/** The versions of the long-running containers that a version marks. */
export function versionsRunning({ containers }: View): string[] {
  const marked = containers.filter((each) => each.State.Status === 'running' && versionOf(each) !== undefined)
  return [...new Set(marked.map((each) => versionOf(each) ?? ''))].sort()
}
