import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { StagecraftError } from './errors.ts'
import type { Exec } from './exec.ts'
import type { Host } from './host.ts'
import { type HostName, sshArguments } from './host-name.ts'
import { lockFiles, readHold, readHolder } from './lock-files.ts'
import { openMirror } from './mirror.ts'
import { fetch, type Looked, makeFolders, persist, type Remote } from './remote.ts'
import { withRemoteLock } from './remote-lock.ts'
import { type Connection, type ConnectOptions, connect } from './ssh.ts'
import { unusableHost } from './ssh-errors.ts'
import { stateFileIn } from './state.ts'
import { LOOK } from './state-scripts.ts'

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
  const copy = mkdtempSync('/tmp/stagecraft-copy-')
  try {
    const looked = await look(connection, place)
    const mirror = openMirror(options.exec, join(copy, 'state'))
    const remote: Remote = {
      connection,
      looked,
      mirror,
      environment: place.environment,
      locked: false,
      generation: '',
      token: '',
    }
    const [socket] = await Promise.all([connection.forward(looked.socket ?? ''), fetch(remote)])
    return hostOf(remote, { exec: options.exec, socket, copy })
  } catch (error) {
    await connection.close()
    rmSync(copy, { recursive: true, force: true })
    throw error
  }
}

interface Here {
  readonly exec: Exec
  /** leads to the host's Docker socket */
  readonly socket: string
  readonly copy: string
}

function hostOf(remote: Remote, { exec, socket, copy }: Here): Host {
  const { connection, mirror, looked, environment } = remote
  const stateFile = stateFileIn(mirror.folder)
  return {
    name: connection.host.written,
    local: exec,
    stateFile,
    folder: looked.folder,
    exec: (argv, options = {}) => {
      if (argv[0] !== 'docker') return exec(argv, options)
      return exec(argv, { ...options, env: { ...options.env, DOCKER_HOST: `unix://${socket}`, DOCKER_TLS_VERIFY: '' } })
    },
    withLock: (request, world, work) => withRemoteLock(remote, { ...request, stateFile }, world, work),
    readLock: () => {
      const files = lockFiles(stateFile, environment)
      const holder = remote.locked ? readHolder(files.holder) : undefined
      const hold = readHold(files.hold)
      return { locked: remote.locked, ...(holder && { holder }), ...(hold && { hold }) }
    },
    run: (script, args) => connection.run(script, args),
    makeFolders: (paths) => makeFolders(remote, paths),
    persist: () => persist(remote),
    close: async () => {
      await connection.close()
      mirror.remove()
      rmSync(copy, { recursive: true, force: true })
    },
  }
}

async function look(connection: Connection, { host, root, project, environment }: RemotePlace): Promise<Looked> {
  const { code, stdout, stderr } = await connection.run(LOOK, [root ?? '', `${project}/${environment}`])
  const said = (word: string) =>
    stdout.split('\n').flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []))
  const [folder] = said('folder')
  if (code !== 0 || folder === undefined)
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
  }
  const obstacle = unusableHost(host, looked)
  if (obstacle) throw obstacle
  return looked
}
