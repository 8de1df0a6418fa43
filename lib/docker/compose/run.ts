import { actFlags, modelText } from '../../compose/load.ts'
import type { ComposeModel, Service } from '../../compose/model.ts'
import { HOOKS } from '../../compose/released/hooks.ts'
import { withoutShell } from '../../compose/released/variables.ts'
import type { Docker } from '../client.ts'
import { hasNetwork } from '../networks.ts'
import { hasVolume } from '../volumes/commands.ts'
import type { ModelFile } from './up.ts'

/** A container of a service that does one thing and ends. */
export interface OneOff {
  readonly service: string
  /** instead of the service's own; a text is split into words by Compose */
  readonly command: string | readonly string[] | undefined
  readonly name: string
  readonly labels: readonly string[]
}

/**
 * `docker compose run -d`, with the service's environment, networks, volumes and configs, and never with its dependencies. The
 * model goes in by stdin: a network or volume that exists is used as it is, whatever the release will make of it.
 * @throws failed (5), unreachable (8)
 */
export async function startOneOff(
  docker: Docker,
  what: string,
  { model, directory, kept }: Omit<ModelFile, 'modelFile'>,
  oneOff: OneOff,
): Promise<void> {
  const input = modelText(await oneOffModel(docker, model, oneOff))
  const options = { cwd: directory, env: withoutShell(model, process.env), input }
  await docker.run(what, runArgs(model.name, kept ?? directory, oneOff), options)
}

function runArgs(project: string, folder: string, { service, name, labels }: Omit<OneOff, 'command'>): string[] {
  return [
    'compose',
    ...actFlags(project, folder),
    ...['-f', '-', 'run', '-d', '-T', '--no-deps', '--name', name],
    ...labels.flatMap((label) => ['--label', label]),
    '--', // a service may be called --help
    service,
  ]
}

/** @returns the model with the service as a one-off container has it; what exists is used as it is */
export async function oneOffModel(
  docker: Docker,
  model: ComposeModel,
  { service, command }: Pick<OneOff, 'service' | 'command'>,
): Promise<ComposeModel> {
  const own = withoutDuties(model.services[service] ?? {}, command)
  const [networks, volumes] = await Promise.all([
    takeAsTheyAre(model.networks, (name) => hasNetwork(docker, name)),
    takeAsTheyAre(model.volumes, (name) => hasVolume(docker, name)),
  ])
  return {
    ...model,
    services: { ...model.services, [service]: own },
    ...(networks ? { networks } : {}),
    ...(volumes ? { volumes } : {}),
  }
}

/** What makes a container one of its service: addresses, labels that route to it, when it is restarted, health, hooks. */
const DUTIES = [
  ...['restart', 'container_name', 'hostname', 'domainname', 'mac_address', 'healthcheck', 'labels', 'label_file'],
  ...['logging', ...HOOKS], // what it prints is shown, wherever the service's log goes
]

/** @returns a service as a container has it that does one thing and ends */
export function withoutDuties(own: Service, command?: OneOff['command']): Service {
  const kept = Object.entries(own).filter(([key]) => !DUTIES.includes(key))
  const { networks, deploy, ...rest } = Object.fromEntries(kept) as Service // the same keys, some fewer
  const { restart_policy: _, ...others } = deploy ?? {}
  const named =
    networks && Object.fromEntries(Object.entries(networks).map(([key, value]) => [key, withoutAddress(value)]))
  return {
    ...rest,
    ...(named ? { networks: named } : {}),
    ...(deploy ? { deploy: others } : {}),
    ...(command === undefined ? {} : { command }),
  }
}

const OF_CONNECTION = ['driver_opts', 'gw_priority', 'interface_name', 'priority']

function withoutAddress(settings: unknown): unknown {
  if (typeof settings !== 'object' || settings === null) return settings
  return Object.fromEntries(Object.entries(settings).filter(([key]) => OF_CONNECTION.includes(key)))
}

type Resources = NonNullable<ComposeModel['networks']>

async function takeAsTheyAre(
  resources: Resources | undefined,
  exists: (name: string) => Promise<boolean>,
): Promise<Resources | undefined> {
  if (resources === undefined) return undefined
  const taken = Object.entries(resources).map(async ([key, resource]) => {
    const name = resource?.name ?? key
    return [key, (await exists(name)) ? { name, external: true } : resource] as const
  })
  return Object.fromEntries(await Promise.all(taken))
}
