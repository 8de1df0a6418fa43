import { expect } from 'bun:test'
import { readFileSync } from 'node:fs'
import type { Service } from '../../lib/compose/model.ts'
import { type Bundle, readBundle, writeBundle } from '../../lib/record/bundle.ts'
import type { RollbackRequest } from '../../lib/record/rollback-target.ts'
import { exitCodeOf } from '../../lib/util/errors.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject, type Outcome } from '../fakes/project.ts'

/** An application of a built `web`, a `db` from a registry, and what else a test gives it. */
export function newApplication(services: Record<string, Service> = {}): FakeProject {
  const project = new FakeProject('rollback')
  project.write('.dockerignore', '.stagecraft\n')
  project.engine.registry = { 'postgres:16': 'postgres' }
  change(project, services)
  return project
}

/** Writes the Compose file again, with these services as well or instead. */
export function change(project: FakeProject, services: Record<string, Service>, more: object = {}): void {
  const web = { build: { context: project.folder } }
  const db = { image: 'postgres:16', volumes: [{ type: 'volume', source: 'data', target: '/data' }] }
  project.engine.model = composeModel('shop', { services: { web, db, ...services }, volumes: { data: {} }, ...more })
}

/** Deploys `web` with this content; its version is the content. @returns the release's id */
export async function released(project: FakeProject, content: string, environment?: string): Promise<string> {
  project.engine.sources = { web: content }
  const outcome = await project.deploy({ version: content, ...(environment ? { environment } : {}) })
  if (outcome.error) throw outcome.error
  return outcome.release?.id ?? ''
}

/** Three versions, one after the other. @returns their ids */
export async function threeReleases(project: FakeProject): Promise<string[]> {
  return [await released(project, 'A'), await released(project, 'B'), await released(project, 'C')]
}

/** What runs of `web`, in words; `web` is how that reads for this content. */
export const webOf = (project: FakeProject) => project.view().find((line) => line.startsWith('web '))
export const web = (content: string) => `web of ${content} running on shop_default`

export const toVersion = (version: string): RollbackRequest => ({ to: 'version', version })

/** The error in short: its exit code and its message. */
export function told({ error }: Pick<Outcome, 'error'>): string {
  return error ? `${exitCodeOf(error)} ${error.message}` : 'no error'
}

/** Fails unless the rollback is refused with exit 4, and leaves everything as it is. @returns what it says */
export async function refused(project: FakeProject, request?: RollbackRequest, environment?: string): Promise<string> {
  const [state, view] = [readFileSync(project.stateFile, 'utf8'), project.view()]
  project.engine.calls = []
  const outcome = await project.rollback(request, environment)
  expect(readFileSync(project.stateFile, 'utf8')).toBe(state)
  expect(project.view()).toEqual(view)
  expect(outcome.error && exitCodeOf(outcome.error)).toBe(4)
  return outcome.error?.message ?? ''
}

/** Changes what a release has recorded about itself. */
export function edit(project: FakeProject, id: string, changes: Partial<Bundle>): void {
  const bundle = readBundle(project.stateFile, id)
  if (bundle) writeBundle(project.stateFile, { ...bundle, ...changes })
}

/** What the newest release has recorded about itself. */
export function newest(project: FakeProject): Bundle | undefined {
  return readBundle(project.stateFile, project.releases()[0]?.id ?? '')
}
