import { StagecraftError } from './errors.ts'

/** What a host is, as far as it is to be made ready. */
export interface HostFacts {
  readonly name: string
  /** the user that commands run as there */
  readonly user: string
  readonly isRoot: boolean
  /** without being asked for a password */
  readonly maySudo: boolean
  /** ID and ID_LIKE of /etc/os-release */
  readonly system: readonly string[]
  /** it is installed, or runs from wherever */
  readonly hasEngine: boolean
  /** the engine's socket is there */
  readonly runs: boolean
  readonly inGroup: boolean
  readonly root: string
  /** mode and group of the root folder, as `2770 docker`; undefined: it is not there */
  readonly rootMode: string | undefined
  /** whose root folder and engine it is: the group of the engine's socket */
  readonly group: string
  /** what shows that the root folder is not ours alone: names of what is in it, or why */
  readonly used: readonly string[]
}

/** One thing that is done to a host: what is said before, and what root runs in /bin/sh. */
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

const START =
  'if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then systemctl enable --now docker; else service docker start; fi'

/**
 * @returns what is missing, in the order in which it is done; nothing where nothing is
 * @throws unreachable (8); config (3) for a root folder that is in use: its mode and group are somebody's
 */
export function planBootstrap(facts: HostFacts): BootstrapStep[] {
  const steps: BootstrapStep[] = []
  const { name, user, root, group } = facts
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
  if (steps.length > 0 && !facts.isRoot && !facts.maySudo)
    throw new StagecraftError(
      'unreachable',
      `Cannot make ${name} ready: ${user} is not root there, and may not become it`,
      {
        detail: steps.map(({ what }) => `missing: ${what}`).join('\n'),
        hint: `Run it with root@… under \`hosts:\`, or let ${user} use sudo without a password, or do that by hand.`,
      },
    )
  return steps
}

function rootInUse({ name, root, used }: HostFacts): StagecraftError {
  const some = [...used.slice(0, MOST), ...(used.length > MOST ? [`${used.length - MOST} more`] : [])]
  return new StagecraftError('config', `Cannot take ${root} on ${name}: it is in use (${some.join(', ')})`, {
    hint: `Give \`root:\` a folder of its own in stagecraft.yml, such as ${root.replace(/\/+$/, '')}/stagecraft. Nothing was changed there.`,
  })
}

/** How much is named of what is in a folder. */
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
