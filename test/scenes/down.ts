import { expect } from 'bun:test'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { openDocker } from '../../lib/docker/client.ts'
import { readOwners } from '../../lib/hosts/owners.ts'
import type { FakeProject, Outcome } from '../fakes/project.ts'
import { told } from './shop.ts'

/** Makes two releases. @param project the shop, in which nothing has been deployed */
export async function twoReleases(project: FakeProject): Promise<FakeProject> {
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

/** No record of the environment is left, and the next deploy is a first one. */
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
