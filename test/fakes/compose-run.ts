import type { ComposeModel } from '../../lib/compose/model.ts'
import type { Answer } from './answer.ts'
import { createContainer, ensureResources } from './compose-up.ts'
import { startContainer } from './containers.ts'
import type { FakeEngine } from './engine.ts'

/** Stagecraft's one way to call `run` without a person: whatever else there is would be a mistake. */
function parseRun(words: readonly string[]) {
  const expected = ['-d', '-T', '--no-deps', '--name']
  if (expected.some((word, index) => words[index] !== word)) throw new Error(`unexpected: run ${words.join(' ')}`)
  const dashes = words.indexOf('--')
  const labels = words.slice(expected.length + 1, dashes).filter((word) => word !== '--label')
  return { name: words[expected.length] ?? '', labels, service: words[dashes + 1] ?? '' }
}

/** `docker compose run` of one service: a container that is not one of the service's. */
export function composeRun(engine: FakeEngine, model: ComposeModel, words: readonly string[], half: boolean): Answer {
  const { name, labels, service } = parseRun(words)
  const { ports: _, ...definition } = model.services[service] ?? {}
  const wrong = ensureResources(engine, model, definition)
  if (wrong !== undefined) return { code: 1, stderr: wrong }
  if (engine.state.containers.some((one) => one.name === name))
    return { code: 1, stderr: `Error response from daemon: Conflict. The container name "/${name}" is already in use` }
  const own = { ...definition, container_name: name }
  const made = createContainer(engine, { model, file: '-', folder: '' }, service, own, {})
  if (typeof made === 'string') return { code: 1, stderr: `Error response from daemon: ${made}` }
  made.labels = Object.fromEntries(labels.map((label) => label.split('=') as [string, string])) // name=value, all of them
  if (half) return { code: 1, stderr: 'stopped halfway' }
  const error = startContainer(engine, made)
  return error === undefined ? { stdout: `${made.id}\n` } : { code: 1, stderr: `Error response from daemon: ${error}` }
}
