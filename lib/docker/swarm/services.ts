import { DEFINITION, JOB } from '../../compose/stack/convert.ts'
import { contentDigest } from '../../util/canonical.ts'
import { childError, type Docker, verb } from '../client.ts'
import { type Json, parseFound } from '../inspect.ts'
import { ONE_OFF, ofStack } from './stack.ts'

/** A service of a stack, from `docker service inspect`. */
export interface SwarmService {
  readonly id: string
  /** its name in the Compose file */
  readonly service: string
  readonly mode: 'replicated' | 'global' | 'job'
  /** tasks that are to run, or of a job: to complete; undefined: one on each node that fits */
  readonly wanted: number | undefined
  /** of the last update; absent: there was none since the service was last changed */
  readonly update?: { readonly state: string; readonly message: string }
  /** what its tasks are made from */
  readonly template: string
  /** its whole definition, without the number of replicas and of restarts */
  readonly hash: string
  /** the image, by the name in the definition */
  readonly image: string
  readonly hasHealthcheck: boolean
  /** where its tasks may run: `node.role==worker` */
  readonly constraints: readonly string[]
  /** the run of a job of Swarm's own; else 0 */
  readonly iteration: number
}

/** @returns the services of a stack, in the order of their names, without one-off jobs. @throws failed (5), unreachable (8) */
export async function listServices(docker: Docker, stack: string): Promise<SwarmService[]> {
  const args = ['service', 'ls', '--filter', `label=${ofStack(stack)}`, '--format', '{{.ID}}']
  const { stdout } = await docker.run('list services', args, { readOnly: true })
  const ids = stdout.split('\n').filter(Boolean)
  const result = await inspect(docker, ids)
  const found = parseFound(result)
  // One that was removed meanwhile is left out.
  if (result.code !== 0 && found.length === 0 && ids.length > 1) throw childError('inspect services', result)
  const own = found.filter((json) => !json.at('Spec', 'Labels', ONE_OFF).is())
  return own.map((json) => parseService(json, stack)).toSorted((a, b) => (a.service < b.service ? -1 : 1))
}

const inspect = verb(['service', 'inspect'], { readOnly: true })

export function parseService(json: Json, stack: string): SwarmService {
  const spec = json.at('Spec')
  const mode = spec.at('Mode')
  const state = json.at('UpdateStatus', 'State').string()
  const container = spec.at('TaskTemplate', 'ContainerSpec')
  const [test] = container.at('Healthcheck', 'Test').strings()
  return {
    id: json.at('ID').string(),
    service: spec.at('Name').string().replace(`${stack}_`, ''),
    mode: isJob(spec) ? 'job' : mode.at('Global').is() ? 'global' : 'replicated',
    wanted: wantedOf(mode),
    ...(state === '' ? {} : { update: { state, message: json.at('UpdateStatus', 'Message').string() } }),
    template: templateOf(spec.at('TaskTemplate')),
    hash: hashOf(spec),
    image: container.at('Image').string(),
    hasHealthcheck: test !== undefined && test !== '' && test !== 'NONE',
    constraints: spec.at('TaskTemplate', 'Placement', 'Constraints').strings(),
    iteration: json.at('JobStatus', 'JobIteration', 'Index').number(),
  }
}

/** A job of a release has a label; Swarm's own mode of that name may stand in the Compose file. */
function isJob(spec: Json): boolean {
  const modes = ['ReplicatedJob', 'GlobalJob'].map((mode) => spec.at('Mode', mode))
  return modes.some((mode) => mode.is()) || spec.at('TaskTemplate', 'ContainerSpec', 'Labels', JOB).string() !== ''
}

function wantedOf(mode: Json): number | undefined {
  if (mode.at('Replicated').is()) return mode.at('Replicated', 'Replicas').number()
  return mode.at('ReplicatedJob').is() ? mode.at('ReplicatedJob', 'TotalCompletions').number() : undefined
}

/**
 * Docker adds defaults to what it prints of a service, and not to its tasks; and Swarm keeps a task whose node still fits when
 * only the placement changes. The label says what Stagecraft has changed among these.
 */
export function templateOf(spec: Json): string {
  const { StopGracePeriod: _g, DNSConfig: _d, Isolation: _i, ...container } = spec.at('ContainerSpec').record()
  const { Networks: networks, ForceUpdate: forced } = spec.record()
  const label = spec.at('ContainerSpec', 'Labels', DEFINITION).string()
  return `${label} ${digest({ container, networks, forced })}`
}

function hashOf(spec: Json): string {
  const { Mode: _, ...rest } = spec.record()
  const modes = Object.keys(spec.at('Mode').record())
  // A restart counts there (`docker service update --force`), and changes nothing else.
  return digest({ ...rest, TaskTemplate: { ...spec.at('TaskTemplate').record(), ForceUpdate: 0 }, modes })
}

function digest(value: unknown): string {
  return contentDigest(value).slice(0, 32)
}
