import type { Event } from '../../lib/output/events.ts'
import { statusOf } from '../../lib/record/release-status.ts'
import type { FakeProject, Outcome } from '../fakes/project.ts'
import { prepareBigChange } from './shop.ts'

const projects: FakeProject[] = []
/** For `afterEach` of each test file: one in this module would apply to the first file alone. */
export function removeProjects(): void {
  for (const project of projects.splice(0)) project.remove()
}

/** @returns the project, which is removed after the test */
export function passing(project: FakeProject): FakeProject {
  projects.push(project)
  return project
}

/** A change that does everything at once, for a run that dies in it. Removed after the test. */
export async function prepared() {
  const change = await prepareBigChange('recovery')
  passing(change.project)
  return change
}

type Recovery = Event & { type: 'recovery' }

/** What was reported about runs that died. */
export const recoveries = ({ events }: Outcome) =>
  events.filter((event): event is Recovery => event.type === 'recovery')

/** Releases that no run has ended. */
export const unfinished = (project: FakeProject) =>
  project.releases().filter((release) => ['running', 'pending'].includes(statusOf(release).status))
