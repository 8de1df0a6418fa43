import type { Mount } from '../../compose/model.ts'
import { compare } from '../../util/format.ts'
import type { Image, Json } from '../inspect.ts'
import type { Definition, Surroundings } from './surroundings.ts'

/**
 * @returns the mounts of a container. Compose carries anonymous volumes over if the next definition has them too; others are
 * called by their name, so that their data is found again.
 */
export function mountsOf(json: Json, image: Image, around: Surroundings): Definition {
  const host = json.at('HostConfig')
  const asked = host.at('Mounts').list()
  const binds = host.at('Binds').strings()
  const lost: string[] = []
  const volumes = json
    .at('Mounts')
    .list()
    .flatMap((mount): Mount[] => {
      const target = mount.at('Destination').string()
      const options = asked.find((one) => one.at('Target').string() === target)
      const isOld = binds.some((bind) => bind.split(':')[1] === target)
      switch (mount.at('Type').string()) {
        case 'bind':
          return [bindOf(mount, target, isOld)]
        case 'volume':
          return volumeOf(mount, target, { json, image, around, options })
        case 'tmpfs':
          return [{ type: 'tmpfs', target, ...tmpfsOf(options) }]
        default:
          lost.push(`its mount at ${target} (${mount.at('Type').string()}) is left out`)
          return []
      }
    })
  const tmpfs = Object.entries(host.at('Tmpfs').record()).map(([path, options]) =>
    options ? `${path}:${options}` : path,
  )
  if (host.at('VolumesFrom').strings().length > 0)
    lost.push('`volumes_from`: it gets the same volumes by their own names')
  return { service: { volumes: volumes.toSorted((a, b) => compare(a.target, b.target)), tmpfs }, lost }
}

/** @param isOld made from a short form, with which the engine creates a missing folder */
function bindOf(mount: Json, target: string, isOld: boolean): Mount {
  const propagation = mount.at('Propagation').string()
  const [selinux] = /[zZ]/.exec(mount.at('Mode').string()) ?? []
  const bind = {
    create_host_path: isOld,
    ...(['', 'rprivate'].includes(propagation) ? {} : { propagation }),
    ...(selinux === undefined ? {} : { selinux }),
  }
  return { type: 'bind', source: mount.at('Source').string(), target, ...readOnly(mount), bind }
}

interface Mounted {
  readonly json: Json
  readonly image: Image
  readonly around: Surroundings
  readonly options: Json | undefined
}

function volumeOf(mount: Json, target: string, { json, image, around, options }: Mounted): Mount[] {
  const name = mount.at('Name').string()
  const service = json.at('Config', 'Labels', 'com.docker.compose.service').string()
  if (/^[0-9a-f]{64}$/.test(name)) {
    if (Object.keys(image.config['Volumes'] ?? {}).includes(target)) return []
    if (around.isCarried(service, target)) return [{ type: 'volume', target, ...readOnly(mount) }]
  }
  const nocopy = options?.at('VolumeOptions', 'NoCopy').true() ? { nocopy: true } : {}
  const subpath = options?.at('VolumeOptions', 'Subpath').string()
  const volume = { ...nocopy, ...(subpath ? { subpath } : {}) }
  return [
    {
      ...{ type: 'volume', source: around.keyOf('volumes', name), target, ...readOnly(mount) },
      ...(Object.keys(volume).length > 0 ? { volume } : {}),
    },
  ]
}

function tmpfsOf(options: Json | undefined): { tmpfs?: Record<string, unknown> } {
  const [size, mode] = ['SizeBytes', 'Mode'].map((key) => options?.at('TmpfsOptions', key).number())
  const tmpfs = { ...(size ? { size: `${size}` } : {}), ...(mode ? { mode } : {}) }
  return Object.keys(tmpfs).length > 0 ? { tmpfs } : {}
}

function readOnly(mount: Json): { read_only?: true } {
  return mount.at('RW').true() ? {} : { read_only: true }
}
