import { hostname } from 'node:os'
import type { Docker } from '../docker/client.ts'
import type { Host } from '../hosts/host.ts'
import type { Emit, Event } from '../output/events.ts'
import type { HostRequest, HostRun, HostTools, OpenBundle } from '../phases/host-run.ts'
import { execOn, type LockedSession, lockOn, openUndoDocker, ownLockOn } from '../project/session.ts'
import { partRef } from '../record/bundle/ref.ts'
import { type Bundle, writeBundle } from '../record/bundle.ts'
import type { Release } from '../record/releases-file/format.ts'
import type { ReleaseRequest } from './request.ts'

/** @returns a release on one host, before its first phase. */
export function openHostRun(request: HostRequest, tools: HostTools, bundle: OpenBundle): HostRun {
  const found = { rendering: request.rendering, images: request.present ?? new Map(), present: new Map(), digests: {} }
  return { request, tools, bundle, found }
}

/** @returns the engine and the locks of one host. */
export function openTools(host: Host, docker: Docker, emit: Emit, session: LockedSession): HostTools {
  const lock = lockOn(host, session)
  return {
    exec: execOn(host, session),
    docker,
    undoDocker: openUndoDocker(host, docker.mask, session),
    clock: session.clock,
    emit,
    checkLock: () => lock.check(),
    checkOwnLock: () => ownLockOn(host, session).check(),
    persist: lock.persist,
  }
}

/** @param written called after each write */
export function openBundle(stateFile: string, first: Bundle, written: () => void): OpenBundle {
  const bundle: OpenBundle = {
    now: first,
    save(changes) {
      const next = { ...bundle.now, ...changes }
      writeBundle(stateFile, next)
      bundle.now = next // only after the write: a commit point that was not written has not happened
      written()
    },
  }
  return bundle
}

const PLACED: ReadonlySet<Event['type']> = new Set([
  ...(['plan', 'service', 'proxy', 'migration', 'output', 'progress', 'warning'] as const),
])

/** @returns an `emit` that adds the host to events that are about one. */
export function onHost(emit: Emit, { name }: Host): Emit {
  return (event) => emit(PLACED.has(event.type) ? ({ ...event, host: name } as Event) : event)
}

/** @returns the bundle of a new release on one host. */
export function newBundle(
  { project, serving, target, parts, engine, adopted, existing }: ReleaseRequest,
  part: HostRequest,
  release: Release,
  user: string,
): Bundle {
  const { id, environment, version, commit_sha } = release
  const { topology, model, host } = part.project
  const isFirst = host === project.host
  return {
    v: 1,
    id: isFirst ? id : partRef(id, host.key),
    environment,
    version,
    commit_sha,
    project: model.name,
    topology,
    phases: {},
    images: {},
    content: [],
    config_hashes: {},
    ...(host.isLocal ? {} : { host: host.key }),
    ...(isFirst && parts.length > 1 ? { hosts: parts.map((each) => each.project.host.key) } : {}),
    ...(engine ? { engine } : {}),
    ...(project.environment.engine === 'swarm' ? { on: 'swarm' as const } : {}),
    actor: { user, machine: hostname(), directory: project.directory },
    services: part.project.environment.services,
    ...((serving?.bundle.id ?? adopted) ? { served_before: serving?.bundle.id ?? adopted } : {}),
    ...(target ? { rollback_to: target.bundle.id } : {}),
    ...(existing?.from ? { promoted_from: existing.from } : {}),
  }
}
