import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { openDocker } from './docker.ts'
import { engineTimeout, hungEngine, noEngine } from './engine.ts'
import { StagecraftError } from './errors.ts'
import type { Exec, Result } from './exec.ts'
import type { Host } from './host.ts'
import { type HostName, hostKey, sshArguments } from './host-name.ts'
import { lockFiles, readHold, readHolder } from './lock-files.ts'
import { openMirror } from './mirror.ts'
import { readOwners } from './owner.ts'
import { askState, fetch, fill, type Looked, makeFolders, persist, type Remote } from './remote.ts'
import { lookAtLock, withRemoteLock } from './remote-lock.ts'
import { makeScratch } from './scratch.ts'
import { type Connection, type ConnectOptions, connect } from './ssh.ts'
import { unusableHost } from './ssh-errors.ts'
import { stateFileIn } from './state.ts'
import { READ } from './state-objects.ts'
import { answersOf, LOOK } from './state-scripts.ts'

/** Where an environment's folder is on a host, before anything is known of the host. */
export interface RemotePlace {
  readonly host: HostName
  /** `root:` of the environment */
  readonly root: string | undefined
  readonly project: string
  readonly environment: string
}

/**
 * Connects to the host of an environment, and fetches what it keeps of its releases.
 * @throws unreachable (8): what is wrong, and what to do; state (9) where its folder cannot be read
 */
export async function openRemoteHost(place: RemotePlace, options: ConnectOptions): Promise<Host> {
  const connection = await connect(place.host, options)
  const copy = makeScratch('copy')
  try {
    const { environment, project, root = '' } = place
    const said = await askState(connection, `${LOOK}${READ}`, [root, `${project}/${environment}`, environment])
    const looked = readLook(place.host, said)
    const mirror = openMirror(options.exec, join(copy, 'state'))
    const remote: Remote = {
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
 * Which version of its API the engine there and docker here both have. A docker that is told need not ask, each time: that
 * is a round trip less for each command.
 * @throws unreachable (8) where nothing comes through, neither through a forwarded socket nor through the docker there
 */
async function askEngine(
  exec: Exec,
  connection: Connection,
  { socket: there = '', hasSession }: Looked,
): Promise<EngineFacts> {
  const forwarded = hasSession ? await ask(exec, await connection.forward(there)) : NOT_ASKED
  if ('version' in forwarded) return forwarded
  if (!NOTHING_CAME.test(forwarded.said)) throw noEngine(forwarded.said)
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

/** Without a process of sshd that is ours alone, nothing there could end what comes through a forwarded socket. */
const NOT_ASKED = { said: 'EOF' }

/** What docker says of a connection that is closed at once. */
const NOTHING_CAME = /connection reset|EOF|broken pipe/

/** @returns what the engine said, or what was said instead. @throws unreachable (8) for one that hangs */
async function ask(exec: Exec, socket: string): Promise<EngineFacts | { readonly said: string }> {
  const argv = ['docker', 'version', '--format', '{{.Client.APIVersion}} {{.Server.Os}}/{{.Server.Arch}}']
  const timeout = engineTimeout(process.env)
  const { code, stdout, stderr, timedOut } = await exec(argv, { env: endpoint(socket), timeout })
  if (timedOut) throw hungEngine(timeout)
  if (code !== 0) return { said: stderr.trim() }
  const [version = '', platform = ''] = stdout.trim().split(' ')
  return { socket, version, platform }
}

/** Whoever needs it is told when it fails; who only reads what is kept does without. */
function quietly<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

function endpoint(socket: string): Record<string, string> {
  return { DOCKER_HOST: `unix://${socket}`, DOCKER_TLS_VERIFY: '' }
}

interface EngineFacts {
  /** of this machine; leads to the host's Docker socket */
  readonly socket: string
  /** of its API */
  readonly version: string
  /** `os/arch` */
  readonly platform: string
}

interface Here {
  readonly exec: Exec
  readonly engine: Promise<EngineFacts>
  readonly copy: string
}

function hostOf(remote: Remote, { exec, engine, copy }: Here): Host {
  const { connection, mirror, looked, environment } = remote
  const stateFile = stateFileIn(mirror.folder)
  const onHost: Exec = async (argv, options = {}) => {
    if (argv[0] !== 'docker') return exec(argv, options)
    const { socket, version } = await engine
    return exec(argv, { ...options, env: { ...options.env, ...endpoint(socket), DOCKER_API_VERSION: version } })
  }
  const askOwners = () => quietly(engine.then(() => readOwners(openDocker(onHost, (text) => text))))
  let owners: ReturnType<typeof askOwners> | undefined
  remote.onChange = () => {
    owners = undefined
  }
  return {
    name: connection.host.written,
    key: hostKey(connection.host),
    platform: quietly(engine.then(({ platform }) => platform)),
    local: exec,
    stateFile,
    folder: looked.folder,
    exec: onHost,
    owners() {
      owners ??= askOwners()
      return owners
    },
    withLock(request, world, work) {
      owners ??= askOwners() // meanwhile: whoever changes something wants to know
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
    close: async () => {
      await connection.close()
      mirror.remove()
      rmSync(copy, { recursive: true, force: true })
    },
  }
}

/** @throws unreachable (8) for a host that cannot be used */
function readLook(host: HostName, { stdout, stderr }: Result): Looked {
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
