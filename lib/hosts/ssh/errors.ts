import { type HostAddress, sshArguments } from '../../config/host-address.ts'
import { StagecraftError } from '../../util/errors.ts'

/** OpenSSH's error messages (ssh.c, sshconnect.c). They all have one exit code, 255. */
const REASONS: readonly (readonly [said: RegExp, reason: string, hint: (host: HostAddress) => string])[] = [
  [
    /REMOTE HOST IDENTIFICATION HAS CHANGED/,
    'its host key is not the one that is known',
    ({ name, port }) =>
      `If you know why (the machine was reinstalled), remove the old key: ssh-keygen -R ${quoted(name, port)} . ` +
      'If not, somebody may be intercepting the connection: do not connect until you have asked its administrator.',
  ],
  [
    /Host key verification failed/,
    'its host key is not known here',
    (host) =>
      `Connect once by hand (${ssh(host)}), compare the fingerprint with the host's, and accept it. In CI: put the key into ~/.ssh/known_hosts.`,
  ],
  [
    /Could not resolve hostname/,
    'its name cannot be resolved',
    () => 'Check the name under `hosts:` in stagecraft.yml, in ~/.ssh/config, and the DNS of this machine.',
  ],
  [
    /Connection refused/,
    'it refuses the connection',
    (host) => `Check that sshd runs there, and on this port (${ssh(host)}).`,
  ],
  [
    /timed out|No route to host|Network is unreachable/,
    'it does not answer',
    (host) => `Check that it is up, and that no firewall is in between (${ssh(host)}).`,
  ],
  [
    /Permission denied|Too many authentication failures|No more authentication methods/,
    'it does not let you in',
    (host) =>
      `Check with \`${ssh(host)} true\`: your key must be in its ~/.ssh/authorized_keys, and loaded (ssh-add -l): nobody is asked for a passphrase here.`,
  ],
]

/** @param said ssh's stderr @returns the error (8) for a connection that failed */
export function noConnection(host: HostAddress, said: string): StagecraftError {
  const [, reason = 'ssh failed', hint = (to: HostAddress) => `Try it by hand: ${ssh(to)} true`] =
    REASONS.find(([pattern]) => pattern.test(said)) ?? []
  const lines = said.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.startsWith('@'))
  return new StagecraftError('unreachable', `Cannot connect to ${host.written}: ${reason}`, {
    detail: lines.join('\n'),
    hint: hint(host),
  })
}

/** Whether a host can be used. */
export interface Usability {
  /** the Docker socket, if there is one */
  readonly socket: string | undefined
  /** the user may use it */
  readonly mayUse: boolean
  readonly user: string
  /** programs that are needed there, and missing */
  readonly lacks: readonly string[]
}

/** @returns the error (8) for a connected host that cannot be used; undefined: it can */
export function unusableHost(
  host: HostAddress,
  { socket, mayUse, user, lacks }: Usability,
): StagecraftError | undefined {
  const error = (reason: string, hint: string) =>
    new StagecraftError('unreachable', `Cannot use ${host.written}: ${reason}`, { hint })
  if (socket === undefined)
    return error(
      'it has no Docker engine, or the engine does not run',
      'Make it ready (stagecraft bootstrap), or start the engine there (sudo systemctl start docker).',
    )
  if (!mayUse)
    return error(
      `${user} may not use its Docker engine (${socket})`,
      `Add the user to the socket's group there, as root: usermod -aG docker ${user} . Or connect as another user.`,
    )
  if (lacks.length === 0) return undefined
  return error(`it has no ${lacks.join(', ')}`, 'Install what is missing (util-linux, coreutils, tar) there.')
}

/** @returns the error (8) for a connection that was lost */
export function lostConnection(host: HostAddress): StagecraftError {
  return new StagecraftError('unreachable', `Cannot continue: the connection to ${host.written} was lost`, {
    hint: 'What was begun there is undone or finished by the next command that reaches it: `stagecraft status`, then `stagecraft deploy`.',
  })
}

function ssh(host: HostAddress): string {
  return ['ssh', ...sshArguments(host)].join(' ')
}

/** As ssh-keygen -R expects it: with another port than 22, the name is in brackets. */
function quoted(name: string, port: number | undefined): string {
  return port === undefined || port === 22 ? name : `'[${name}]:${port}'`
}
