import type { Json } from '../inspect.ts'
import type { Definition, Parts } from './surroundings.ts'

/** Numbers of the engine that Compose has under another name; 0: not set. */
const NUMBERS = {
  CpuCount: 'cpu_count',
  CpuPercent: 'cpu_percent',
  CpuPeriod: 'cpu_period',
  CpuQuota: 'cpu_quota',
  CpuRealtimePeriod: 'cpu_rt_period',
  CpuRealtimeRuntime: 'cpu_rt_runtime',
  CpuShares: 'cpu_shares',
  OomScoreAdj: 'oom_score_adj',
  PidsLimit: 'pids_limit',
} as const
const BYTES = {
  Memory: 'mem_limit',
  MemoryReservation: 'mem_reservation',
  MemorySwap: 'memswap_limit',
} as const
const DEFAULT_SHM = 64 * 1024 * 1024

/** What a definition does not have yet. Compose can set none of them, or hardly anybody does. */
const UNKNOWN = [
  ...['BlkioWeight', 'BlkioWeightDevice', 'BlkioDeviceReadBps', 'BlkioDeviceWriteBps', 'BlkioDeviceReadIOps'],
  ...['BlkioDeviceWriteIOps', 'KernelMemory', 'CpusetMems', 'Isolation', 'VolumeDriver', 'AutoRemove'],
] as const

/** @returns what a container may use of the machine, and its devices. */
export function limitsOf(host: Json): Definition {
  const named = (names: Readonly<Record<string, string>>, as: (value: number) => unknown) =>
    Object.entries(names).flatMap(([name, key]) => (host.at(name).number() ? [[key, as(host.at(name).number())]] : []))
  const swappiness = host.at('MemorySwappiness')
  const service = {
    ...Object.fromEntries(named(NUMBERS, (value) => value)),
    ...Object.fromEntries(named(BYTES, (value) => `${value}`)),
    cpus: host.at('NanoCpus').number() / 1e9 || undefined,
    cpuset: host.at('CpusetCpus').string(),
    mem_swappiness: swappiness.is() && swappiness.number() >= 0 ? swappiness.number() : undefined,
    oom_kill_disable: host.at('OomKillDisable').true() || undefined,
    shm_size: [0, DEFAULT_SHM].includes(host.at('ShmSize').number()) ? undefined : `${host.at('ShmSize').number()}`,
    storage_opt: host.at('StorageOpt').record(),
    annotations: host.at('Annotations').record(),
    ulimits: Object.fromEntries(
      host
        .at('Ulimits')
        .list()
        .map((one) => {
          const limit = { soft: one.at('Soft').number(), hard: one.at('Hard').number() }
          return [one.at('Name').string(), limit]
        }),
    ),
    devices: host
      .at('Devices')
      .list()
      .map((device) => {
        const [from, to, rights] = ['PathOnHost', 'PathInContainer', 'CgroupPermissions'].map((key) =>
          device.at(key).string(),
        )
        return [from, to, rights].join(':')
      }),
    device_cgroup_rules: host.at('DeviceCgroupRules').strings(),
    ...devicesAsked(host),
  }
  const lost = UNKNOWN.filter((name) => isSet(host.at(name))).map((name) => `its setting ${name} is left out`)
  return { service, lost }
}

function isSet(value: Json): boolean {
  return value.true() || value.string() !== '' || value.number() !== 0 || value.list().length > 0
}

/** GPUs and the like. */
function devicesAsked(host: Json): Parts {
  const devices = host
    .at('DeviceRequests')
    .list()
    .map((request) => {
      const [count, ids] = [request.at('Count').number(), request.at('DeviceIDs').strings()]
      const [capabilities] = request.at('Capabilities').list()
      return {
        ...(request.at('Driver').string() ? { driver: request.at('Driver').string() } : {}),
        ...(ids.length > 0 ? { device_ids: ids } : { count }),
        capabilities: capabilities?.strings() ?? [],
        ...(Object.keys(request.at('Options').record()).length > 0 ? { options: request.at('Options').record() } : {}),
      }
    })
  return devices.length === 0 ? {} : { deploy: { resources: { reservations: { devices } } } }
}
