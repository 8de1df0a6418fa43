import { afterEach, expect } from 'bun:test'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { openDocker } from '../../lib/docker/client.ts'
import { readOwners } from '../../lib/hosts/owners.ts'
import type { FakeProject, Outcome } from '../fakes/project.ts'
import { newShop, told } from './shop.ts'

/** The projects of a file's tests are removed after each of them. */
export function removed(): { remove(): void }[] {
  const projects: { remove(): void }[] = []
  afterEach(() => {
    for (const project of projects.splice(0)) project.remove()
  })
  return projects
}

/** The shop with two releases. */
export async function twoReleases(title: string, projects: { remove(): void }[]): Promise<FakeProject> {
  const project = newShop(title)
  projects.push(project)
  expect((await project.deploy({ version: 'v1' })).error).toBeUndefined()
  project.engine.sources = { web: 'web two' }
  expect((await project.deploy({ version: 'v2' })).error).toBeUndefined()
  return project
}

export const tags = (project: FakeProject) =>
  Object.keys(project.engine.state.tags).filter((tag) => tag.startsWith('shop-'))
export const folders = (project: FakeProject, name: string) => {
  const folder = join(project.folder, '.stagecraft', name)
  return existsSync(folder) ? readdirSync(folder) : []
}
const owners = async (project: FakeProject) => [
  ...(await readOwners(openDocker(project.engine.exec, (text) => text))).keys(),
]
export const recoveries = ({ events }: Outcome) =>
  events.flatMap((event) => (event.type === 'recovery' ? [event.message] : []))

/** Nothing is known of the environment any more, and a deploy is a first one. */
export async function expectFresh(project: FakeProject): Promise<void> {
  expect([project.view(), project.releases(), folders(project, 'releases'), tags(project)]).toEqual([[], [], [], []])
  expect(await owners(project)).toEqual([])
  const first = await project.deploy({ version: 'v3' })
  expect([told(first), first.bundle?.served_before, first.release?.previous_id]).toEqual([
    'no error',
    undefined,
    undefined,
  ])
}
