import { StagecraftError } from '../../util/errors.ts'

/** What bootstrap needs to know about a host. */
export interface HostFacts {
  readonly name: string
  /** the user that runs commands there */
  readonly user: string
  readonly isRoot: boolean
  /** may use sudo without a password */
  readonly maySudo: boolean
  /** ID and ID_LIKE of /etc/os-release */
  readonly system: readonly string[]
  /** dockerd is installed, or an engine runs */
  readonly hasEngine: boolean
  /** the engine's socket exists */
  readonly runs: boolean
  readonly inGroup: boolean
  readonly root: string
  /** mode and group of the root folder, as `2770 docker`; undefined: it does not exist */
  readonly rootMode: string | undefined
  /** the group of the engine's socket, which shares the root folder */
  readonly group: string
  /** why the root folder is not ours alone: names of other files in it, or reasons */
  readonly used: readonly string[]
}

/** One step on a host: what is printed before it, and the /bin/sh script that root runs. */
export interface BootstrapStep {
  readonly what: string
  readonly script: string
  readonly args: readonly string[]
}

const INSTALL = `set -e
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
for compose in docker-compose-v2 docker-compose-plugin docker-compose; do
  apt-cache show "$compose" >/dev/null 2>&1 && break
done
apt-get -q -y install docker.io "$compose"
`

// Without systemd it is started in the background: what follows must find it.
const START = `if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then systemctl enable --now docker; else service docker start; fi || exit
n=0
until said=$(docker version 2>&1); do
  n=$((n + 1))
  [ $n -lt 60 ] || { echo "$said"; exit 1; }
  sleep 0.5
done
`

/**
 * @returns the steps that are missing, in order
 * @throws unreachable (8) on another system; config (3) if something else is in the root folder: its mode and group are not changed then
 */
export function planBootstrap(facts: HostFacts): BootstrapStep[] {
  const steps: BootstrapStep[] = []
  const { user, root, group } = facts
  if (!facts.hasEngine) {
    if (!facts.system.some((id) => id === 'debian' || id === 'ubuntu')) throw otherSystem(facts)
    steps.push({
      what: "install the Docker engine and Compose from the distribution's packages",
      script: INSTALL,
      args: [],
    })
  }
  if (!facts.runs)
    steps.push({ what: 'start the Docker engine, now and whenever the host starts', script: START, args: [] })
  if (!facts.isRoot && !facts.inGroup)
    steps.push({
      what: `let ${user} use the Docker engine (group ${group})`,
      script: 'usermod -aG "$2" "$1"',
      args: [user, group],
    })
  if (facts.rootMode !== `2770 ${group}`) {
    if (facts.used.length > 0) throw rootInUse(facts)
    steps.push({
      what: `make ${root}, shared by the group ${group}`,
      script: 'install -d -m 2770 -g "$2" "$1"',
      args: [root, group],
    })
  }
  return steps
}

/** @throws unreachable (8) if there is something to do and the user may not do it */
export function requireRoot({ name, user, isRoot, maySudo }: HostFacts, steps: readonly BootstrapStep[]): void {
  if (steps.length === 0 || isRoot || maySudo) return
  throw new StagecraftError(
    'unreachable',
    `Cannot make ${name} ready: ${user} is not root there, and may not become root`,
    {
      detail: steps.map(({ what }) => `missing: ${what}`).join('\n'),
      hint: `Run it with root@… under \`hosts:\`, or let ${user} use sudo without a password, or do it by hand.`,
    },
  )
}

function rootInUse({ name, root, used }: HostFacts): StagecraftError {
  const some = [...used.slice(0, MOST), ...(used.length > MOST ? [`${used.length - MOST} more`] : [])]
  return new StagecraftError('config', `Cannot take ${root} on ${name}: it is in use (${some.join(', ')})`, {
    hint: `Give \`root:\` a folder of its own in stagecraft.yml, such as ${root.replace(/\/+$/, '')}/stagecraft. Nothing was changed there.`,
  })
}

/** How many names in a folder are printed. */
const MOST = 3

function otherSystem({ name, system }: HostFacts): StagecraftError {
  return new StagecraftError(
    'unreachable',
    `Cannot install Docker on ${name}: it is ${system[0] ?? 'unknown'}, not Debian or Ubuntu`,
    {
      hint: 'Install the Docker engine with its compose plugin there by hand (https://docs.docker.com/engine/install/), then run this again.',
    },
  )
}
