import type { Service } from '../../lib/compose/model.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject } from '../fakes/project.ts'
import { composeUp } from '../scenes/compose-up.ts'
import { temporaries } from '../support/temporary.ts'

/** Called at the top of a test file. @returns a function that makes an application which is removed after its test */
export function runningApps() {
  const temporary = temporaries()
  /** An application that was started with `docker compose up`, before Stagecraft was used. */
  return async (services: Record<string, Service>): Promise<FakeProject> => {
    const project = temporary(new FakeProject('put-back'))
    const { engine } = project
    for (const content of ['one', 'two', 'bad']) engine.addImage(`web:${content}`, content)
    engine.addImage('db:1', 'db')
    engine.behave = ({ content }) => (content === 'bad' ? { exit: 1, logs: 'bad indeed' } : undefined)
    if (Object.keys(services).length > 0) await start(project, services)
    return project
  }
}

/** Starts these services as a user does with `docker compose up`. */
export async function start({ engine }: FakeProject, services: Record<string, Service>): Promise<void> {
  engine.model = composeModel('shop', { services })
  await composeUp(engine, engine.model, Object.keys(services))
}

/** The ids of the containers of `web` and `db`. */
export const ids = (project: FakeProject) => ['web', 'db'].map((service) => project.engine.ids('shop', service).join())
/** What the Compose file says now. */
export const now = (project: FakeProject, services: Record<string, Service>) => {
  project.engine.model = composeModel('shop', { services })
}
