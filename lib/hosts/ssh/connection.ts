import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type HostAddress, sshArguments } from '../../config/host-address.ts'
import { type Carry, carryTo, openBridge } from '../../system/bridge.ts'
import type { Exec, ExecOptions, Result } from '../../system/exec.ts'
import { makeTempFolder } from '../../system/temp-folder.ts'
import { quotePosix } from '../../util/format.ts'
import { lostConnection, noConnection } from './errors.ts'
import { resolveTailscale } from './tailscale.ts'

/** One OpenSSH connection to a host, for the length of a command (spec/core/hosts.md). */
export interface Connection {
  readonly host: HostAddress
  /** random */
  readonly id: string
  /** aborted once the connection has ended */
  readonly lost: AbortSignal
  /**
   * Runs a script in the host's /bin/sh, whatever shell its user has.
   * @throws unreachable (8) if the connection is lost
   */
  run(script: string, args?: readonly string[], options?: ExecOptions): Promise<Result>
  /** @returns a socket of this machine that is forwarded to one of the host's. @throws unreachable (8) */
  forward(socket: string): Promise<string>
  /** Like `forward`, if sshd forwards no sockets: each connection goes through a docker process on the host. */
  bridge(socket: string): Promise<string>
  close(): Promise<void>
}

export interface ConnectOptions {
  readonly exec: Exec
  /** milliseconds to wait for the connection */
  readonly timeout: number
  readonly signal: AbortSignal
}

/**
 * The user's ssh configuration of the host applies: keys, agent, jump hosts, known_hosts. These settings only keep ssh from asking,
 * waiting for ever and starting anything else; they never change how host keys are checked. A cut cable is noticed within 9 s
 * (ssh_config, ServerAliveInterval).
 */
const SETTINGS = [
  ...['BatchMode=yes', 'ServerAliveInterval=3', 'ServerAliveCountMax=2', 'ConnectionAttempts=1'],
  ...['RequestTTY=no', 'RemoteCommand=none', 'ForwardX11=no', 'ControlPersist=no'],
].flatMap((setting) => ['-o', setting])

/** Keeps ssh from making a connection for each command once the shared one has ended. */
const NO_OTHER = ['-o', 'ControlMaster=no', '-o', 'ProxyCommand=false', '-o', 'ProxyJump=none']

/** Milliseconds between two checks whether the connection is established. */
const POLL = 10

/** @throws unreachable (8), with the reason and a hint; the signal's code if one came meanwhile */
export async function connect(host: HostAddress, { exec, timeout, signal }: ConnectOptions): Promise<Connection> {
  const found = host.tailscale ? await resolveTailscale(exec, host) : []
  const folder = makeTempFolder('ssh')
  const control = join(folder, 'ssh')
  const id = crypto.randomUUID()
  const [lost, closing] = [new AbortController(), new AbortController()]
  const limit = ['-o', `ConnectTimeout=${Math.ceil(timeout / 1000)}`, '-o', 'ClearAllForwardings=yes']
  const argv = ['ssh', '-M', '-N', '-S', control, ...SETTINGS, ...limit, ...found, ...sshArguments(host)]
  const master = exec(argv, { outlive: 0, grace: 1000, signal: closing.signal }).finally(() => lost.abort())
  const ends: (() => void)[] = []
  master.catch(() => {}) // `established` and `lost` see its end
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

/** Has the connection's id in its environment: losing a lock there ends the bridges too (lib/hosts/scripts/lock.ts, fence). */
const DIAL = 'STAGECRAFT_CONNECTION=$2 DOCKER_HOST=unix://$1 exec docker system dial-stdio'

/** ssh's own exit code, for any failure. */
const SSH_FAILED = 255

interface Coming {
  readonly master: Promise<Result>
  readonly control: string
  readonly lost: AbortSignal
  /** of `performance.now()` */
  readonly deadline: number
  readonly signal: AbortSignal
}

/** Waits until ssh has made its control socket, which it does after the login. */
async function established(host: HostAddress, { master, control, lost, deadline, signal }: Coming): Promise<void> {
  while (!existsSync(control)) {
    if (lost.aborted) throw noConnection(host, (await master).stderr)
    if (performance.now() > deadline) throw noConnection(host, 'Connection timed out')
    signal.throwIfAborted()
    await Bun.sleep(POLL)
  }
}
