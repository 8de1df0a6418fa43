import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type HostAddress, hostKey, sshArguments } from '../../config/host-address.ts'
import { openDocker } from '../../docker/client.ts'
import { engineTimeout, hungEngine, noEngine, wasClosedAtOnce } from '../../docker/engine/answers.ts'
import { ASK_VERSION, parseVersion } from '../../docker/engine/facts.ts'
import { lockFiles, readHold, readHolder } from '../../lock/files.ts'
import { stateFileIn } from '../../record/releases.ts'
import { attach } from '../../system/attach.ts'
import type { Exec, Result } from '../../system/exec.ts'
import { makeTempFolder } from '../../system/temp-folder.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { Host } from '../host.ts'
import { readOwners } from '../owners.ts'
import { READ } from '../scripts/objects.ts'
import { answersOf, LOOK } from '../scripts/state.ts'
import { openStateCopy } from '../state/copy.ts'
import {
  askState,
  fetch,
  fill,
  type Looked,
  makeFolders,
  persist,
  type StateExchange,
  signOf,
} from '../state/exchange.ts'
import { type Connection, type ConnectOptions, connect } from './connection.ts'
import { unusableHost } from './errors.ts'
import { lookAtLock, withRemoteLock } from './lock.ts'

/** What determines an environment's folder on a host, before the host is connected. */
export interface RemotePlace {
  readonly host: HostAddress
  /** `root:` of the environment */
  readonly root: string | undefined
  readonly project: string
  readonly environment: string
}

/**
 * Connects to the host of an environment, and copies its releases from there.
 * @throws unreachable (8), with the reason and a hint; state (9) if its folder cannot be read
 */
export async function openRemoteHost(place: RemotePlace, options: ConnectOptions): Promise<Host> {
  const connection = await connect(place.host, options)
  const copy = makeTempFolder('copy')
  try {
    const { environment, project, root = '' } = place
    const said = await askState(connection, `${LOOK}${READ}`, [root, `${project}/${environment}`, environment])
    const looked = readLook(place.host, said)
    const mirror = openStateCopy(options.exec, join(copy, 'state'))
    const remote: StateExchange = {
      connection,
      looked,
      mirror,
      environment,
      locked: false,
      head: '',
      legacy: false,
      token: '',
      onChange: () => {},
      onTakenOver: () => {},
      keeping: Promise.resolve(),
    }
    const engine = quietly(askEngine(options.exec, connection, looked))
    await fill(remote, said)
    return hostOf(remote, { exec: options.exec, engine, copy })
  } catch (error) {
    await connection.close()
    rmSync(copy, { recursive: true, force: true })
    throw error
  }
}

/**
 * Finds the API version that the engine there and docker here have in common. With DOCKER_API_VERSION docker need not negotiate,
 * which saves each command a round trip.
 * @throws unreachable (8) if the engine answers neither through a forwarded socket nor through the docker there
 */
export async function askEngine(
  exec: Exec,
  connection: Connection,
  { socket: there = '', hasSession }: Looked,
): Promise<EngineFacts> {
  const forwarded = hasSession ? await ask(exec, await connection.forward(there)) : NOT_ASKED
  if ('version' in forwarded) return forwarded
  if (!wasClosedAtOnce(forwarded.said)) throw noEngine(forwarded.said)
  const bridged = await ask(exec, await connection.bridge(there))
  if ('version' in bridged) return bridged
  const detail = [...new Set([forwarded.said, bridged.said])].join('\n')
  throw new StagecraftError(
    'unreachable',
    `Cannot use ${connection.host.written}: its engine does not answer through ssh`,
    {
      detail,
      hint: 'Start the engine there, if it does not run. Where its sshd forwards no sockets (AllowStreamLocalForwarding, DisableForwarding in sshd_config), it needs the docker command there.',
    },
  )
}

/** Without its own process of sshd, a forwarded socket could not be ended on the host when the lock is lost. */
const NOT_ASKED = { said: 'EOF' }

/** @returns the engine's facts, or docker's error message. @throws unreachable (8) for an engine that hangs */
async function ask(exec: Exec, socket: string): Promise<EngineFacts | { readonly said: string }> {
  const timeout = engineTimeout(process.env)
  const { code, stdout, stderr, timedOut } = await exec(ASK_VERSION, { env: endpoint(socket), timeout })
  if (timedOut) throw hungEngine(timeout)
  if (code !== 0) return { said: stderr.trim() }
  return { socket, ...parseVersion(stdout) }
}

/** A failure is reported where the result is awaited: a command that only reads the state does not need the engine. */
function quietly<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/** Has docker use that socket. */
export function endpoint(socket: string): Record<string, string> {
  return { DOCKER_HOST: `unix://${socket}`, DOCKER_TLS_VERIFY: '' }
}

interface EngineFacts {
  /** on this machine; forwarded to the host's Docker socket */
  readonly socket: string
  /** of the engine's API */
  readonly version: string
  /** `os/arch` */
  readonly platform: string
}

interface Here {
  readonly exec: Exec
  readonly engine: Promise<EngineFacts>
  readonly copy: string
}

function hostOf(remote: StateExchange, { exec, engine, copy }: Here): Host {
  const { connection, mirror, looked, environment } = remote
  const stateFile = stateFileIn(mirror.folder)
  const onHost: Exec = async (argv, options = {}) => {
    if (argv[0] !== 'docker') return exec(argv, options)
    const { socket, version } = await engine
    return exec(argv, { ...options, env: { ...options.env, ...endpoint(socket), DOCKER_API_VERSION: version } })
  }
  const askOwners = () => quietly(engine.then(() => readOwners(openDocker(onHost, (text) => text))))
  let owners: ReturnType<typeof askOwners> | undefined
  let sign: string | undefined
  remote.onChange = () => {
    owners = undefined
  }
  return {
    isLocal: false,
    name: connection.host.written,
    key: hostKey(connection.host),
    platform: quietly(engine.then(({ platform }) => platform)),
    local: exec,
    attach: async ({ argv, env }) => {
      const { socket, version } = await engine
      return attach(argv, { ...env, ...endpoint(socket), DOCKER_API_VERSION: version })
    },
    stateFile,
    folder: looked.folder,
    exec: onHost,
    owners() {
      owners ??= askOwners()
      return owners
    },
    withLock(request, world, work) {
      owners ??= askOwners() // read meanwhile: a command that takes the lock needs them
      return withRemoteLock(remote, { ...request, stateFile }, world, work)
    },
    readLock: () => {
      const files = lockFiles(stateFile, environment)
      const holder = remote.locked ? readHolder(files.holder) : undefined
      const hold = readHold(files.hold)
      return { locked: remote.locked, ...(holder && { holder }), ...(hold && { hold }) }
    },
    lookAtLock: () => lookAtLock(remote),
    run: (script, args) => connection.run(script, args),
    makeFolders: (paths) => makeFolders(remote, paths),
    persist: () => persist(remote),
    refresh: () => fetch(remote),
    async refreshIfChanged() {
      const now = await signOf(remote)
      if (now !== sign) await fetch(remote)
      sign = now
    },
    close: async () => {
      await connection.close()
      mirror.remove()
      rmSync(copy, { recursive: true, force: true })
    },
  }
}

/** @returns what LOOK has found. @throws unreachable (8) for a host that cannot be used */
export function readLook(host: HostAddress, { stdout, stderr }: Result): Looked {
  const said = answersOf(stdout)
  const [folder] = said('folder')
  if (folder === undefined)
    throw new StagecraftError('unreachable', `Cannot use ${host.written}: its user has no shell that runs commands`, {
      detail: `${stdout}${stderr}`.trim(),
      hint: `Check with \`ssh ${sshArguments(host).join(' ')} sh -c true\`.`,
    })
  const looked = {
    folder,
    socket: said('socket')[0],
    mayUse: said('may').length > 0,
    user: said('user')[0] ?? '',
    lacks: said('lacks'),
    hasSession: said('session').length > 0,
  }
  const obstacle = unusableHost(host, looked)
  if (obstacle) throw obstacle
  return looked
}
