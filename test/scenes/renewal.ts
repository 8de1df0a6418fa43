import { expect } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { eventLines } from '../../lib/output/lines.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject, type Outcome } from '../fakes/project.ts'
import { temporaries } from '../support/temporary.ts'

/** Called at the top of a test file. @returns a function that makes a project which is removed after its test */
export function liveProjects() {
  const temporary = temporaries()
  /** A service whose image has a volume with files of its version; v1 is live. */
  return async (web: Service = {}, more: Record<string, Service> = {}): Promise<FakeProject> => {
    const project = temporary(new FakeProject('renewal'))
    const { engine } = project
    for (const content of ['one', 'two', 'bad']) {
      engine.withVolume.add(content)
      engine.addImage(`web:${content}`, content)
    }
    engine.behave = ({ content }) => (content === 'bad' ? { exit: 1 } : undefined)
    release(project, 'one', web, more)
    expect((await project.deploy()).error).toBeUndefined()
    return project
  }
}

/** Writes the Compose file of a release whose `web` has that content. */
export function release(
  project: FakeProject,
  content: string,
  web: Service = {},
  more: Record<string, Service> = {},
): void {
  project.engine.model = composeModel('shop', { services: { web: { image: `web:${content}`, ...web }, ...more } })
}

/** What each container has in its volume. */
export const has = ({ engine }: FakeProject) =>
  engine.containersOf('shop').map(({ anonymous }) => engine.state.filled[anonymous])

/** Writes into the volume of a container. */
export function write({ engine }: FakeProject, text: string, at = 0): void {
  engine.state.filled[engine.containersOf('shop')[at]?.anonymous ?? ''] = text
}

export const isCopy = (argv: readonly string[]) => argv[1] === 'cp'
export const isCreate = (argv: readonly string[]) => argv[1] === 'create'

export function lines({ events }: Outcome, of: 'warning' | 'service'): string {
  const shown = events.filter((event) => event.type === of)
  return shown.flatMap((event) => eventLines(event, { mask: createMask([]), nameWidth: 3 })).join('\n')
}

export const warning = (outcome: Outcome) => outcome.events.find(({ type }) => type === 'warning')
