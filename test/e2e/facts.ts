import type { Folder } from '../support/folder.ts'

type Json = { readonly [key: string]: unknown }

/** What differs from one container to the next, or says where its files are. */
const APART = ['Binds', 'Mounts', 'ContainerIDFile', 'LogConfig', 'PortBindings']

/**
 * @param copied targets of configs and secrets that one way copies and the other mounts
 * @returns what `docker inspect` says that the containers of a project are made of, by service, without what must differ
 */
export async function factsOf(folder: Folder, copied: readonly string[] = []): Promise<Record<string, Json>> {
  const ids = (await folder.containers()).map(({ id }) => id)
  if (ids.length === 0) return {}
  const { stdout } = await folder.docker(['inspect', ...ids])
  const all: Json[] = JSON.parse(stdout.replaceAll(folder.name, 'PROJECT'))
  const rows = all.map((container) => {
    const config = record(container['Config'])
    const labels = record(config['Labels'])
    return [String(labels['com.docker.compose.service']), factsOfOne(container, config, labels, copied)] as const
  })
  return Object.fromEntries(rows.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function factsOfOne(container: Json, config: Json, labels: Json, copied: readonly string[]): Json {
  const hostConfig = Object.entries(record(container['HostConfig'])).filter(([key]) => !APART.includes(key))
  const own = Object.entries(labels).filter(([key]) => !key.startsWith('com.docker.compose.'))
  const { Hostname: _h, Image: _i, Labels: _l, Env: environment, ...rest } = config
  const mounts = list(container['Mounts']).filter(({ Destination }) => !copied.includes(String(Destination)))
  return {
    ...{
      ...rest,
      labels: Object.fromEntries(own),
      environment: [...(Array.isArray(environment) ? environment : [])].sort(),
    },
    host: Object.fromEntries(hostConfig.map(([key, value]) => [key, said(value)])),
    published: Object.keys(record(record(container['HostConfig'])['PortBindings'])),
    mounts: mounts
      .map(({ Type, Destination, RW, Propagation }) => `${Destination} ${Type} ${RW} ${Propagation}`)
      .toSorted(),
    networks: Object.entries(record(record(container['NetworkSettings'])['Networks'])).map(([name, network]) => [
      name,
      list(record(network)['Aliases'], String).filter((alias) => !/^[0-9a-f]{12}$/.test(alias)),
    ]),
  }
}

/** Whether nothing is said by null, an empty list or an empty text depends on who asked. */
function said(value: unknown): unknown {
  const isEmpty = value === null || value === '' || (typeof value === 'object' && Object.keys(value).length === 0)
  return isEmpty ? undefined : value
}

function record(value: unknown): Json {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function list<T = Json>(value: unknown, as: (entry: unknown) => T = record as (entry: unknown) => T): T[] {
  return Array.isArray(value) ? value.map(as) : []
}
