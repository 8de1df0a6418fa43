import { compare } from '../../util/format.ts'
import { type Command, type Docker, verb } from '../client.ts'
import { type Json, parseFound } from '../inspect.ts'
import { type SwarmService, templateOf } from './services.ts'

/** A task of a service: one container on a node, from when Swarm plans it until it is forgotten. */
export interface Task {
  readonly id: string
  /** the id of its service */
  readonly service: string
  /** 0 for those of a global service */
  readonly slot: number
  /** the name of its node; empty: none yet */
  readonly node: string
  /** what Swarm wants it to be: `running`, `shutdown`, `ready`, `remove`; of a job: `complete` */
  readonly desired: string
  /** `pending`, `preparing`, `starting`, `running`, `complete`, `failed`, `rejected`, `shutdown`, `orphaned` … */
  readonly state: string
  readonly error: string
  readonly template: string
  readonly iteration: number
  /** ISO 8601, by Swarm's clock: when it was made */
  readonly at: string
}

/** What of a task never changes. */
type Fixed = Pick<Task, 'service' | 'slot' | 'template' | 'iteration'>

/** Looks at the tasks of a stack. What of one never changes is asked for once. */
interface TaskView {
  /** @throws failed (5), unreachable (8) */
  look(): Promise<Task[]>
}

export function openTasks(docker: Docker, stack: string): TaskView {
  const known = new Map<string, Fixed & { readonly at: string }>()
  const templates = new Map<string, string>()
  return {
    async look() {
      const rows = await listTasks(docker, stack)
      const missing = rows.filter(({ id }) => !known.has(id)).map(({ id }) => id)
      for (let at = 0; at < missing.length; at += AT_ONCE)
        for (const json of await inspectTasks(docker, missing.slice(at, at + AT_ONCE)))
          known.set(json.at('ID').string(), parseFixed(json, templates))
      return rows.flatMap((row) => {
        const fixed = known.get(row.id)
        return fixed === undefined ? [] : [{ ...fixed, ...row }] // Swarm has forgotten it meanwhile
      })
    },
  }
}

/** Tasks that are named in one command. */
const AT_ONCE = 200

type Row = Pick<Task, 'id' | 'node' | 'desired' | 'state' | 'error'>

async function listTasks(docker: Docker, stack: string): Promise<Row[]> {
  const format = ['ID', 'Node', 'DesiredState', 'CurrentState', 'Error'].map((field) => `{{.${field}}}`).join('\t')
  const { code, stdout } = await ps(docker, [stack], { flags: { 'no-trunc': true, format } })
  if (code !== 0) return []
  return stdout.split('\n').filter(Boolean).map(parseRow)
}

const ps = verb(['stack', 'ps'], { readOnly: true, what: 'list tasks', unless: /nothing found in stack/i })
const inspect = verb(['inspect', '--type', 'task'], { readOnly: true })

/** @param line id, node, what it should be, what it is (`Running 5 seconds ago`), and why it is not */
export function parseRow(line: string): Row {
  const [id = '', node = '', desired = '', state = '', ...error] = line.split('\t')
  const [word = ''] = state.split(' ')
  return {
    id,
    node,
    desired: desired.toLowerCase(),
    state: word.toLowerCase(),
    error: error.join(' ').trim().replace(/^"|"$/g, ''),
  }
}

/** @returns what there is of tasks. @throws unreachable (8) */
export async function inspectTasks(docker: Docker, ids: readonly string[]): Promise<Json[]> {
  return parseFound(await inspect(docker, ids))
}

const psOfOne = verb(['service', 'ps'], { readOnly: true, what: 'list tasks', unless: /no such service|not found/i })

/**
 * @param service its name, with that of the stack
 * @returns the ids of its tasks, each with the name of its node; none if there is no such service. @throws failed (5), unreachable (8)
 */
export async function tasksOfService(
  docker: Docker,
  service: string,
  flags: Command['flags'] = {},
): Promise<Map<string, string>> {
  const { code, stdout } = await psOfOne(docker, [service], {
    flags: { ...flags, 'no-trunc': true, format: '{{.ID}}\t{{.Node}}' },
  })
  const rows = code === 0 ? stdout.split('\n').filter(Boolean) : []
  return new Map(rows.map((row) => row.split('\t')).map(([id = '', node = '']) => [id, node]))
}

/** @param templates of definitions: the tasks of a service have the same one */
function parseFixed(json: Json, templates: Map<string, string>): Fixed & { readonly at: string } {
  const text = JSON.stringify(json.at('Spec').record())
  const template = templates.get(text) ?? templateOf(json.at('Spec'))
  templates.set(text, template)
  return {
    service: json.at('ServiceID').string(),
    slot: json.at('Slot').number(),
    template,
    iteration: json.at('JobIteration', 'Index').number(),
    at: json.at('CreatedAt').string(),
  }
}

/** @returns whether Swarm wants a task to run, or to be ready to: of a service, not of a job */
export function isLive({ desired }: Pick<Task, 'desired'>): boolean {
  return desired === 'running' || desired === 'ready'
}

/** @returns whether a task is of the last run of a job */
export function isOfLastRun(
  task: Task,
  { iteration, template }: Pick<SwarmService, 'iteration' | 'template'>,
): boolean {
  return task.iteration === iteration && (iteration > 0 || task.template === template)
}

/** @returns whether a task has ended, for any reason */
export function hasEnded({ state }: Pick<Task, 'state'>): boolean {
  return ['complete', 'failed', 'rejected', 'shutdown', 'orphaned', 'remove'].includes(state)
}

export function hasFailed({ state }: Pick<Task, 'state'>): boolean {
  return state === 'failed' || state === 'rejected'
}

export function newestFirst(tasks: readonly Task[]): Task[] {
  return tasks.toSorted((a, b) => compare(b.at, a.at))
}

/** @returns the exit code in what Swarm says about a task that has ended: `task: non-zero exit (3)` */
export function exitCodeOf({ error }: Pick<Task, 'error'>): number | undefined {
  const code = /non-zero exit \((\d+)\)/.exec(error)?.[1]
  return code === undefined ? undefined : Number(code)
}
