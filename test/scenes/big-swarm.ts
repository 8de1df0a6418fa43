import { openDocker } from '../../lib/docker/client.ts'
import type { Container } from '../../lib/docker/inspect.ts'
import { judgeService, newSeen } from '../../lib/docker/swarm/convergence.ts'
import { listNodes } from '../../lib/docker/swarm/nodes.ts'
import { listReplicas } from '../../lib/docker/swarm/replicas.ts'
import { listServices } from '../../lib/docker/swarm/services.ts'
import { openTasks } from '../../lib/docker/swarm/tasks.ts'
import { makePlan } from '../../lib/plan/make.ts'
import type { Exec } from '../../lib/system/exec.ts'
import { inputOf, type Services } from './situation.ts'

/** Milliseconds that it may take in a test, on any machine, alongside others. The real limit: `npm run bench -- --only swarm`. */
export const GENEROUS = 20_000

/** Milliseconds of this process alone, and what came out. */
export interface Cost {
  readonly plan: number
  readonly convergence: number
  readonly changed: number
  readonly done: number
  readonly tasks: number
}

/**
 * Plans a release that changes all services of a Swarm, and watches it; docker answers at once, as it prints it.
 * @param looks at the rollout: one every 0.7 s
 */
export async function costOf(services: number, nodes: number, looks: number): Promise<Cost> {
  const docker = openDocker(answering(services, nodes), (text) => text)
  const [plan, changed] = await measured(async () => planned(await listReplicas(docker, 'shop'), services))
  const [convergence, { done, tasks }] = await measured(async () => {
    const view = openTasks(docker, 'shop')
    const seen = Array.from({ length: services }, () => newSeen(0))
    let last = { done: 0, tasks: 0 }
    for (let look = 0; look < looks; look++) {
      const [all, now, known] = await Promise.all([listServices(docker, 'shop'), view.look(), listNodes(docker)])
      const own = Map.groupBy(now, ({ service }) => service)
      const verdicts = all.map((one, at) =>
        judgeService(one, own.get(one.id) ?? [], {
          ...{ seen: seen[at] ?? newSeen(0), before: new Set<string>(), now: look * 700, nodes: known },
          patience: { health: 60_000, minReady: 5_000, restarts: 30_000 },
        }),
      )
      last = { done: verdicts.filter(({ is }) => is === 'done').length, tasks: now.length }
    }
    return last
  })
  return { plan, convergence, changed, done, tasks }
}

async function measured<T>(work: () => Promise<T>): Promise<[number, T]> {
  const began = process.cpuUsage()
  const found = await work()
  const { user, system } = process.cpuUsage(began)
  return [(user + system) / 1_000, found]
}

/** @returns how many services the plan changes */
function planned(containers: readonly Container[], services: number): number {
  const all = (word: string): Services =>
    Object.fromEntries(names(services).map((name) => [name, { image: name, environment: { WORD: word } }]))
  const environment = { engine: 'swarm' } as const
  const plan = makePlan(
    inputOf({ before: all('one'), now: all('two'), containers: () => [...containers], environment }),
  )
  return plan.services.filter(({ action }) => action !== 'unchanged').length
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `service-${String(at).padStart(3, '0')}`)
}

/** A Swarm with a task of each service on each node, half of the services global. All texts are made beforehand. */
function answering(services: number, nodes: number): Exec {
  const places = Array.from({ length: nodes }, (_, at) => `node-${at}`)
  const all = names(services)
  const tasks = all.flatMap((name) => places.map((node, at) => ({ id: `${name}.${node}`, name, node, slot: at + 1 })))
  const like = new Map(all.map((name) => [name, JSON.stringify(taskJson(name))]))
  const texts = new Map(
    tasks.map(({ id, name, slot }) => [id, `{"ID":"${id}","Slot":${slot},${like.get(name)?.slice(1)}`]),
  )
  const said: Readonly<Record<string, string>> = {
    'service ls': lines(all),
    'service inspect': JSON.stringify(all.map((name, at) => serviceJson(name, at % 2 === 0, nodes))),
    'stack ps': lines(tasks.map(({ id, node }) => `${id}\t${node}\tRunning\tRunning 5 seconds ago\t`)),
    'node ls': lines(places),
    'node inspect': JSON.stringify(places.map(nodeJson)),
  }
  return async (argv) => {
    const [, noun = '', verb = '', ...rest] = argv
    const stdout =
      noun === 'inspect'
        ? `[${rest.flatMap((id) => texts.get(id) ?? []).join(',\n')}]`
        : (said[`${noun} ${verb}`] ?? `${argv.join(' ')} is not known`)
    return { argv, code: 0, stdout, stderr: '', timedOut: false }
  }
}

function lines(all: readonly string[]): string {
  return all.map((line) => `${line}\n`).join('')
}

const SPEC = (name: string) => ({
  ContainerSpec: {
    Image: `${name}@sha256:${'0'.repeat(64)}`,
    Labels: { 'com.docker.stack.namespace': 'shop', 'stagecraft.definition': '08649823d86a' },
    Args: ['serve', '--port', '3000'],
    Env: Array.from({ length: 20 }, (_, at) => `VARIABLE_${at}=a value of ${name}`),
    Healthcheck: { Test: ['CMD', 'true'], Interval: 1_000_000_000 },
    Privileges: { CredentialSpec: null, SELinuxContext: null, NoNewPrivileges: false },
    StopSignal: 'SIGTERM',
  },
  Resources: { Limits: { MemoryBytes: 268_435_456 } },
  Placement: { Constraints: ['node.labels.kind != build'] },
  Networks: [{ Target: '172qlqtihpnpgb8bop5ln8mky', Aliases: [name] }],
  ForceUpdate: 0,
})

function serviceJson(name: string, isGlobal: boolean, replicas: number): object {
  const Mode = isGlobal ? { Global: {} } : { Replicated: { Replicas: replicas } }
  return { ID: name, Spec: { Name: `shop_${name}`, TaskTemplate: SPEC(name), Mode } }
}

/** What the tasks of a service have in common. */
function taskJson(name: string): object {
  const network = { ID: '172qlqtihpnpgb8bop5ln8mky', Spec: { Name: 'shop_default', Scope: 'swarm' } }
  return {
    ...{ ServiceID: name, Spec: SPEC(name), CreatedAt: '2026-11-30T18:17:55.337150078Z' },
    Status: { Timestamp: '2026-11-30T18:18:02.27856256Z', State: 'running', Message: 'started' },
    NetworksAttachments: [{ Network: network, Addresses: ['10.0.2.3/24'] }],
  }
}

function nodeJson(name: string): object {
  return {
    ...{ ID: name, Spec: { Role: 'worker', Availability: 'active', Labels: { kind: 'run' } } },
    Description: {
      Hostname: name,
      Engine: { EngineVersion: '28.5.1' },
      Platform: { OS: 'linux', Architecture: 'x86_64' },
    },
    Status: { State: 'ready', Addr: '192.0.2.1' },
  }
}
