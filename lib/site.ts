import { hostname } from 'node:os'
import { type Bundle, writeBundle } from './bundle.ts'
import { partId } from './bundle-parts.ts'
import type { Emit, Event } from './events.ts'
import type { Host } from './host.ts'
import { buildTargets } from './images.ts'
import type { Order, Part } from './release.ts'
import type { Site } from './run.ts'
import type { Release } from './state.ts'
import { execOn, type Locked, lockOn, openLastingDocker, ownLockOn } from './world.ts'

/** What a site is made of. */
interface SiteParts extends Pick<Site, 'bundle' | 'docker' | 'adopting' | 'emit'> {
  readonly part: Part
  readonly written: () => void
  readonly world: Locked
}

export function openSite({ part, bundle, docker, adopting, emit, written, world }: SiteParts): Site {
  const { project, awaits, rendering, keepContent, serving } = part
  const lock = lockOn(project.host, world)
  const site: Site = {
    ...{ project, awaits, rendering, keepContent, serving, adopting, docker, emit, bundle },
    released: part.target?.bundle.images,
    targets: buildTargets(project.model, bundle.version),
    exec: execOn(project.host, world),
    restoring: openLastingDocker(project.host, docker.mask, world),
    clock: world.clock,
    tell: world.tell,
    images: new Map(),
    present: new Map(),
    digests: {},
    checkLock: () => lock.check(),
    checkOwnLock: () => ownLockOn(project.host, world).check(),
    persist: lock.persist,
    save(changes) {
      const next = { ...site.bundle, ...changes }
      writeBundle(project.stateFile, next)
      site.bundle = next // what could not be written is not so: the commit point above all
      written()
    },
  }
  return site
}

const PLACED: ReadonlySet<Event['type']> = new Set(['plan', 'service', 'proxy', 'warning'])

/** Of several hosts, what is done says where. */
export function onHost(emit: Emit, { name = '' }: Host): Emit {
  return (event) => emit(PLACED.has(event.type) ? ({ ...event, host: name } as Event) : event)
}

export function newBundle(
  { project, serving, target, parts, engine }: Order,
  part: Part,
  release: Release,
  user: string,
): Bundle {
  const { id, environment, version, commit_sha } = release
  const { topology, model, host } = part.project
  const isFirst = host === project.host
  return {
    ...{
      v: 1,
      id: isFirst ? id : partId(id, host.key),
      environment,
      version,
      commit_sha,
      project: model.name,
      topology,
    },
    ...{ phases: {}, images: {}, content: [], config_hashes: {} },
    ...(host.name === undefined ? {} : { host: host.key }),
    ...(isFirst && parts.length > 1 ? { hosts: parts.map((each) => each.project.host.key) } : {}),
    ...(engine ? { engine } : {}),
    actor: { user, machine: hostname(), directory: project.directory },
    services: part.project.environment.services,
    ...(serving ? { served_before: serving.bundle.id } : {}),
    ...(target ? { rollback_to: target.bundle.id } : {}),
  }
}
