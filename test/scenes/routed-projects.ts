import type { FakeProject } from '../fakes/project.ts'
import { temporaries } from '../support/temporary.ts'
import { type Application, deployed, HOST, newRouted } from './routed.ts'

/**
 * Called at the top of a test file. @returns how to make a project that is removed after its test: `routed`, of which
 * nothing is deployed, and `serving`, whose first version is live
 */
export function routedProjects() {
  const temporary = temporaries()
  const routed = (application?: Application) => temporary(newRouted('rolling', application))
  async function serving(application?: Application): Promise<FakeProject> {
    const project = routed(application)
    await deployed(project)
    project.engine.calls = []
    return project
  }
  return { routed, serving, temporary }
}

/** What a request from outside is answered now. */
export const answer = (project: FakeProject) => project.engine.proxy.answer(HOST)

/** What a container of the project gets from `http://api:4000/` now. */
export const callApi = (project: FakeProject) => project.engine.proxy.call('shop_default', 'api', 4000)

export const ids = (project: FakeProject, service = 'web') => project.engine.ids('shop', service)

/** The live slots, as `<service>.<slot>`. */
export const slots = (project: FakeProject) => project.engine.state.proxy.volume?.live['shop']

/** The commands that gave Caddy another configuration. */
export const loads = (project: FakeProject) => project.engine.calls.filter((argv) => argv.includes('stagecraft-apply'))
