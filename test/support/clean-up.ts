import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Docker } from '../../lib/docker/client.ts'
import { applyRoutes, readProxy, switchSlots } from '../../lib/proxy/api.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import type { Engine } from './engine.ts'

// Everything is chosen by the label that Compose puts on what it makes, or by the name that begins with the project's;
// nothing of another project is touched. $0 is the project, or what the names of several begin with before a dash.
const SCRIPT = `
mine() { awk -v p="$0" '$2 == p || index($2, p "-") == 1 || $1 ~ "^(stagecraft-)?" p "([-_:/]|$)" { print $1 }' | sort -u; }
label='{{.Label "com.docker.compose.project"}}'
all() { ids=$(cat); [ -z "$ids" ] || "$@" $ids; }
each() { all "$@" >/dev/null || failed=1; }
failed=
docker ps -a --format "{{.ID}} $label" | mine >/tmp/.$0
# A container that Compose recreated names the anonymous volumes it took over, so that rm -v leaves them.
volumes=$(all docker inspect --format '{{range .Mounts}}{{println .Name}}{{end}}' </tmp/.$0 | grep -xE '[0-9a-f]{64}')
each docker rm -fv </tmp/.$0
echo "$volumes" | each docker volume rm -f
docker network ls --format "{{.Name}} $label" | mine >/tmp/.$0
while read -r network; do docker network disconnect -f "$network" stagecraft-proxy 2>/dev/null; done </tmp/.$0
each docker network rm </tmp/.$0
docker volume ls --format "{{.Name}} $label" | mine >/tmp/.$0; each docker volume rm -f </tmp/.$0
docker images --format '{{.Repository}}:{{.Tag}}' | grep -v '<none>' | mine >/tmp/.$0; each docker rmi -f </tmp/.$0
images=$(docker images -q --filter label=com.docker.compose.project | sort -u)
[ -z "$images" ] || docker inspect --format '{{.Id}} {{index .Config.Labels "com.docker.compose.project"}}' $images |
  mine >/tmp/.$0; [ -z "$images" ] || each docker rmi -f </tmp/.$0
rm -f /tmp/.$0
[ -z "$failed" ]
`

/** Removes what belongs to the Compose project `name`, and to those named `<name>-…`. Throws if something stays. */
export async function cleanUp(engine: Engine, name: string): Promise<void> {
  if (!/^(sct-[a-z0-9]+|stagecraft-demo$)/.test(name)) throw new Error(`Cannot clean up "${name}": not the tests' own`)
  await removeRoutes(engine, name)
  // A container that is being removed at that moment, for example one that has just ended, is refused once.
  for (let tries = 1; ; tries++) {
    const { code, stderr } = await engine.exec(['sh', '-c', SCRIPT, name])
    if (code === 0) return
    if (tries === 3) throw new Error(`Cannot clean up ${name} on ${engine.name}: ${stderr}`)
    await Bun.sleep(2000)
  }
}

/** A route that stays would take requests that come from its networks' addresses, which the engine gives to others later. */
async function removeRoutes(engine: Engine, name: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const running = await engine.docker(['ps', '-q', '--filter', 'name=^stagecraft-proxy$'])
    if (running.stdout.trim() === '') return
    try {
      return await removeRoutesOf(dockerOf(engine), name)
    } catch (error) {
      // Other tests restart the host's proxy meanwhile, or remove it.
      if (tries >= 60) throw error
      await Bun.sleep(500)
    }
  }
}

async function removeRoutesOf(docker: Docker, name: string): Promise<void> {
  const { projects, live } = await readProxy(docker)
  const all = [...new Set([...Object.keys(projects), ...Object.keys(live)])]
  for (const project of all.filter((each) => each === name || each.startsWith(`${name}-`))) {
    await applyRoutes(docker, project, [])
    await switchSlots(docker, project, {})
  }
}

/** The engine's docker, as lib/ uses one. */
function dockerOf(engine: Engine): Docker {
  const ask: Docker['try'] = async (args, { input } = {}) => {
    const ran = await engine.docker(args, input === undefined ? {} : { stdin: input })
    return { argv: ['docker', ...args], timedOut: false, ...ran }
  }
  return { try: ask, run: (_, args, options) => ask(args, options), mask: createMask([]) }
}

// The programs that a run started left their process ids in files. One that is asked to end may have something to undo.
const END = `
each() {
  for file in /tmp/$0-*.pid; do
    # One of the files is this shell's own.
    pid=$(cat "$file" 2>/dev/null) && [ "$pid" != $$ ] && kill "$1" "$pid" 2>/dev/null && some=yes
  done
}
each -TERM
for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do some=; each -0; [ "$some" ] || break; sleep 1; done
each -KILL
rm -f /tmp/$0-*.pid
`

/** What an interrupted run calls: ends its programs on the engine's machine, and removes its projects and folders. */
export async function sweep(engine: Engine, run: string): Promise<void> {
  await engine.exec(['sh', '-c', END, run])
  await cleanUp(engine, run)
  const folders = engine.seenHere(engine.folders)
  const left = readdirSync(folders).filter((name) => name.startsWith(`${run}-`))
  for (const name of left) rmSync(join(folders, name), { recursive: true, force: true })
}
