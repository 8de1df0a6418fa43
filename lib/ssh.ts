import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Carry, carryTo, openBridge } from './bridge.ts'
import { type Exec, type ExecOptions, quotePosix, type Result } from './exec.ts'
import { type HostName, sshArguments } from './host-name.ts'
import { makeScratch } from './scratch.ts'
import { lostConnection, noConnection } from './ssh-errors.ts'
import { resolveTailscale } from './tailscale.ts'

/** One OpenSSH connection to a host, for the length of a command (design 7). */
export interface Connection {
  readonly host: HostName
  /** random */
  readonly id: string
  /** aborted once the connection is no more */
  readonly lost: AbortSignal
  /**
   * Runs a script in the host's /bin/sh, whatever shell its user has.
   * @throws unreachable (8) where the connection is lost
   */
  run(script: string, args?: readonly string[], options?: ExecOptions): Promise<Result>
  /** @returns a socket of this machine that leads to one of the host's. @throws unreachable (8) */
  forward(socket: string): Promise<string>
  /** The same where sshd forwards no sockets: through the docker there, one process of it a connection. */
  bridge(socket: string): Promise<string>
  close(): Promise<void>
}

export interface ConnectOptions {
  readonly exec: Exec
  /** milliseconds for the connection to come about */
  readonly timeout: number
  readonly signal: AbortSignal
}

/**
 * Whatever the user's configuration says of the host counts: keys, agent, jump hosts, known_hosts. Only what would ask,
 * wait for ever or start something else is set here; how host keys are checked never is. A cut cable is noticed after
 * 9 s at the latest (ssh_config, ServerAliveInterval).
 */
const SETTINGS = [
  ...['BatchMode=yes', 'ServerAliveInterval=3', 'ServerAliveCountMax=2', 'ConnectionAttempts=1'],
  ...['RequestTTY=no', 'RemoteCommand=none', 'ForwardX11=no', 'ControlPersist=no'],
].flatMap((setting) => ['-o', setting])

/** Where the connection is gone, ssh would make another one, for each command: this keeps it from that. */
const NO_OTHER = ['-o', 'ControlMaster=no', '-o', 'ProxyCommand=false', '-o', 'ProxyJump=none']

/** Milliseconds between two looks whether the connection is there. */
const POLL = 10

/** @throws unreachable (8): what is wrong, and what to do; the signal's code if one came meanwhile */
export async function connect(host: HostName, { exec, timeout, signal }: ConnectOptions): Promise<Connection> {
  const found = host.tailscale ? await resolveTailscale(exec, host) : []
  const folder = makeScratch('ssh')
  const control = join(folder, 'ssh')
  const id = crypto.randomUUID()
  const [lost, closing] = [new AbortController(), new AbortController()]
  const limit = ['-o', `ConnectTimeout=${Math.ceil(timeout / 1000)}`, '-o', 'ClearAllForwardings=yes']
  const argv = ['ssh', '-M', '-N', '-S', control, ...SETTINGS, ...limit, ...found, ...sshArguments(host)]
  const master = exec(argv, { outlive: 0, grace: 1000, signal: closing.signal }).finally(() => lost.abort())
  const ends: (() => void)[] = []
  master.catch(() => {}) // it is looked at once it is needed
  const close = async () => {
    for (const end of ends) end()
    closing.abort()
    await master.catch(() => {})
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await established(host, {
      master,
      control,
      lost: lost.signal,
      deadline: performance.now() + timeout + 2000,
      signal,
    })
  } catch (error) {
    await close()
    throw error
  }
  const through = ['ssh', '-S', control, ...SETTINGS, ...NO_OTHER]
  const gone = () => lost.signal.aborted || !existsSync(control)
  const run: Connection['run'] = async (script, args = [], options = {}) => {
    const command = ['sh', '-c', script, 'stagecraft', ...args].map(quotePosix).join(' ')
    const result = await exec([...through, ...sshArguments(host), command], { signal, ...options })
    if (result.code === SSH_FAILED && gone() && !closing.signal.aborted) throw lostConnection(host)
    return result
  }
  return {
    ...{ host, id, lost: lost.signal, close, run },
    async forward(socket) {
      const far = join(folder, 'far')
      const result = await exec([...through, '-O', 'forward', '-L', `${far}:${socket}`, ...sshArguments(host)])
      if (result.code !== 0) throw gone() ? lostConnection(host) : noConnection(host, result.stderr)
      const { carry, close: end } = carryTo(far)
      const here = join(folder, 'forwarded')
      ends.push(end, await openBridge(here, carry))
      return here
    },
    async bridge(socket) {
      const here = join(folder, 'bridged')
      const carry: Carry = (each) =>
        run(DIAL, [socket, id], { inputFrom: each, outputTo: each, limit: 4096, signal: undefined, outlive: 0 })
      ends.push(await openBridge(here, carry))
      return here
    },
  }
}

/** It has the connection's id in its environment: who loses a lock there loses the bridges too (lib/lock-scripts.ts). */
const DIAL = 'STAGECRAFT_CONNECTION=$2 DOCKER_HOST=unix://$1 exec docker system dial-stdio'

/** ssh's own exit code, for everything. */
const SSH_FAILED = 255

interface Coming {
  readonly master: Promise<Result>
  readonly control: string
  readonly lost: AbortSignal
  /** of `performance.now()` */
  readonly deadline: number
  readonly signal: AbortSignal
}

/** ssh makes its control socket once it has been let in. */
async function established(host: HostName, { master, control, lost, deadline, signal }: Coming): Promise<void> {
  while (!existsSync(control)) {
    if (lost.aborted) throw noConnection(host, (await master).stderr)
    if (performance.now() > deadline) throw noConnection(host, 'Connection timed out')
    signal.throwIfAborted()
    await Bun.sleep(POLL)
  }
}
