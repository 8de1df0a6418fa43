import { modelText } from '../../lib/compose/load.ts'
import type { ComposeModel } from '../../lib/compose/model.ts'
import type { ExecOptions } from '../../lib/system/exec.ts'
import type { Answer } from './answer.ts'
import { namesAfterDashes, readModel } from './compose-arguments.ts'
import { isDev, stopAll, upDev } from './compose-dev.ts'
import { configHash, renameProject } from './compose-model.ts'
import { composeRun } from './compose-run.ts'
import { composeUp } from './compose-up.ts'
import type { FakeEngine } from './engine.ts'

const COMPOSE_FLAGS = ['--progress', '-p', '--project-directory', '--env-file', '-f']

function parseCompose(args: readonly string[]) {
  const flags = new Map<string, string[]>()
  let at = 0
  while (COMPOSE_FLAGS.includes(args[at] ?? '')) {
    const flag = args[at] ?? ''
    flags.set(flag, [...(flags.get(flag) ?? []), args[at + 1] ?? ''])
    at += 2
  }
  return { flags, command: args[at] ?? '', rest: args.slice(at + 1) }
}

function hashes(model: ComposeModel): Answer {
  const lines = Object.entries(model.services).map(([name, service]) => `${name} ${configHash(service)}\n`)
  return { stdout: lines.join('') }
}

/** What `docker compose` says and does. */
export function answerCompose(
  engine: FakeEngine,
  args: readonly string[],
  options: ExecOptions,
  half: boolean,
): Answer {
  const { flags, command, rest } = parseCompose(args)
  const project = flags.get('-p')?.[0]
  const file = flags.get('-f')?.[0]
  const folder = flags.get('--project-directory')?.[0] ?? ''
  if (command === 'version') return { stdout: `${engine.composeVersion}\n` }
  if (command === 'config' && rest[0] === '--hash') return hashes(readModel(file, options))
  if (command === 'config' && rest[0] === '--quiet') return {}
  if (command === 'config') return config(engine, file === '-' ? readModel(file, options) : undefined, project)
  if (command === 'build') return half ? {} : build(engine, readModel(file, options), namesAfterDashes(rest))
  if (command === 'up' && isDev(rest))
    return upDev(engine, { model: readModel(file, options), file: '-', folder }, rest)
  if (command === 'stop') return stopAll(engine, readModel(file, options))
  if (command === 'up')
    return composeUp(engine, { model: readModel(file, options), file: file ?? '', folder }, project ?? '', rest, half)
  if (command === 'run') return composeRun(engine, readModel(file, options), rest, half)
  throw new Error(`the fake engine does not know: docker compose ${args.join(' ')}`)
}

function config(engine: FakeEngine, given: ComposeModel | undefined, project: string | undefined): Answer {
  if (given) return interpolate(engine, given)
  if (engine.model === undefined) return { code: 15, stderr: 'services.web Additional property imge is not allowed' }
  return { stdout: modelText(renameProject(engine.model, project ?? engine.model.name)) }
}

function interpolate(engine: FakeEngine, model: ComposeModel): Answer {
  const environment: Record<string, string> = {}
  for (const name of Object.keys(model.services['variables']?.environment ?? {})) {
    const value = engine.variables[name]
    if (value === undefined)
      return { code: 15, stderr: `required variable ${name} is missing a value: the variable is not set` }
    environment[name] = value
  }
  return { stdout: modelText({ name: 'x', services: { variables: { environment } } }) }
}

function build(engine: FakeEngine, model: ComposeModel, services: readonly string[]): Answer {
  const lines: string[] = []
  for (const service of services.filter((word) => word !== '--')) {
    const { image = '', build } = model.services[service] ?? {}
    const content = engine.sources[service]
    if (content === undefined) {
      lines.push(`#7 ERROR: failed to build ${service}`)
      return { code: 17, stderr: lines.join('\n'), lines }
    }
    const id = engine.addImage(image, content, engine.buildLabels)
    for (const tag of build?.tags ?? []) engine.state.tags[tag] = id
    lines.push(`#7 naming to ${image}`)
  }
  return { lines }
}
