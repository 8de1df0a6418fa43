import { expect } from 'bun:test'
import { PHASES } from '../../lib/plan/six-phases.ts'
import type { Behaviour } from '../fakes/engine-state.ts'
import type { FakeProject, Outcome } from '../fakes/project.ts'
import { told } from './shop.ts'

/** Each phase of the newest release, with its status. */
export function phasesOf({ release }: Outcome): string {
  return PHASES.map((phase) => `${phase} ${release?.phases[phase]}`).join(', ')
}

export const SERVICES = ['cache', 'db', 'web', 'job', 'api', 'side']

/** Ids of the containers of each service. */
export const idsOf = (project: FakeProject) =>
  Object.fromEntries(SERVICES.map((service) => [service, project.engine.ids('shop', service)]))

/** Version one is live; then `makeChange`, and a deploy that must fail. @returns what the user sees */
export async function failing(project: FakeProject, makeChange: (project: FakeProject) => void) {
  await project.deploy()
  const [before, ids] = [project.view(), idsOf(project)]
  makeChange(project)
  const outcome = await project.deploy()
  expect(project.view()).toEqual(before)
  return {
    outcome,
    ids,
    text: told(outcome)
      .replaceAll(project.folder, '.')
      .replaceAll(/rel-\d+-\d+/g, '<id>'),
  }
}

/** Gives `web` a new image, whose containers behave like this. */
export const bad = (behaviour: Behaviour) => (project: FakeProject) => {
  project.engine.sources = { web: 'web bad' }
  project.engine.behave = ({ content }) => (content === 'web bad' ? behaviour : undefined)
}
