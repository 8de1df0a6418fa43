import type { HostAddress } from '../../config/host-address.ts'
import { programError } from '../../util/errors.ts'
import { answersOf } from '../scripts/state.ts'
import { type Connection, type ConnectOptions, connect } from '../ssh/connection.ts'
import { type BootstrapStep, type HostFacts, planBootstrap, requireRoot } from './plan.ts'

/** Prints the facts about a host, one `word value` a line. `$1`: the root folder. */
const FACTS = `
echo "user $(id -un)"
[ "$(id -u)" = 0 ] && echo "root yes"
sudo -n true 2>/dev/null && echo "sudo yes"
[ -r /etc/os-release ] && (. /etc/os-release; for id in $ID $ID_LIKE; do echo "system $id"; done)
PATH=$PATH:/usr/sbin:/usr/local/sbin
command -v dockerd >/dev/null && echo "engine yes"
socket=\${DOCKER_HOST:-unix:///var/run/docker.sock}
[ -S "\${socket#unix://}" ] && echo "engine yes" && echo "runs yes"
[ -w "\${socket#unix://}" ] && echo "group yes"
shared=docker
if [ -S "\${socket#unix://}" ]; then
  of=$(stat -L -c %G "\${socket#unix://}")
  case $of in root | UNKNOWN | '') ;; *) shared=$of ;; esac
fi
echo "shared $shared"
for group in $(id -Gn "$(id -un)"); do [ "$group" = "$shared" ] && echo "group yes"; done
as=
[ "$(id -u)" = 0 ] || { sudo -n true 2>/dev/null && as='sudo -n'; }
$as test -d "$1" || exit 0
echo "mode $($as stat -L -c '%a %G' "$1")"
owner=$($as stat -L -c %U "$1")
[ "$owner" = root ] || [ "$owner" = "$(id -un)" ] || echo "used it belongs to $owner"
real=$($as readlink -f "$1")
case $(dirname "$real") in
  / | /dev | /etc | /home | /proc | /run | /sys | /usr | /usr/local | /var) echo "used it is one of the system's" ;;
esac
getent passwd 2>/dev/null | cut -d: -f6 | grep -qxF "$real" && echo "used it is somebody's home"
$as ls -A "$1" >/dev/null 2>&1 || echo "used it may not be looked into"
$as ls -A "$1" 2>/dev/null | tr -c '[:print:]\n' '?' | while read -r name; do
  [ "$name" != lost+found ] && [ -z "$($as find "$1/$name/" -mindepth 2 -maxdepth 2 -name locks 2>/dev/null)" ] && echo "used $name"
done
true
`

interface BootstrapOptions extends ConnectOptions {
  readonly host: HostAddress
  readonly root: string
  /** reports the steps, and changes nothing */
  readonly dryRun: boolean
  /** called before each step */
  readonly onStep: (step: BootstrapStep) => void
}

/**
 * Prepares a bare Debian or Ubuntu host for deploys: engine, group, root folder. Does only what is missing, and never touches
 * a firewall or sshd.
 * @returns the steps that were missing
 * @throws unreachable (8), failed (5) for a step
 */
export async function bootstrap(options: BootstrapOptions): Promise<readonly BootstrapStep[]> {
  const connection = await connect(options.host, options)
  try {
    const facts = await askFacts(connection, options)
    const steps = planBootstrap(facts)
    if (!options.dryRun) requireRoot(facts, steps)
    for (const step of steps) {
      options.onStep(step)
      if (!options.dryRun) await take(connection, facts, step)
    }
    return steps
  } finally {
    await connection.close()
  }
}

async function askFacts(connection: Connection, { host, root }: BootstrapOptions): Promise<HostFacts> {
  const { stdout } = await connection.run(FACTS, [root], { timeout: 60_000 })
  const said = answersOf(stdout)
  const has = (word: string) => said(word).length > 0
  return {
    name: host.written,
    user: said('user')[0] ?? '',
    isRoot: has('root'),
    maySudo: has('sudo'),
    system: said('system'),
    hasEngine: has('engine'),
    runs: has('runs'),
    inGroup: has('group'),
    root,
    rootMode: said('mode')[0],
    group: said('shared')[0] ?? 'docker',
    used: said('used'),
  }
}

async function take(connection: Connection, facts: HostFacts, { what, script, args }: BootstrapStep): Promise<void> {
  const asRoot = facts.isRoot ? script : 'exec sudo -n sh -c "$@"'
  const words = facts.isRoot ? args : [script, 'stagecraft', ...args]
  const result = await connection.run(asRoot, words, { merge: true, timeout: INSTALLING })
  if (result.code !== 0) throw programError(`${what} on ${facts.name}`, { ...result, argv: ['sh'] })
}

/** Milliseconds that downloading and installing packages may take. */
const INSTALLING = 900_000
