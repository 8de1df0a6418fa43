import type { Engine } from '../support/engine.ts'
import type { Folder } from '../support/folder.ts'
import { type Row, ratioRow } from './row.ts'

const PAIRS = 9
const MEMORY_LIMIT = 120
const MEBIBYTE = 1024

const COMPOSE = `services:
  web: {build: ./web, stop_signal: SIGKILL, healthcheck: {test: ["CMD", "true"], interval: 1s}}
  api: {build: ./web, command: [sleep, "1d"], stop_signal: SIGKILL}
  cache: {image: "busybox:1", command: [sleep, "1d"], stop_signal: SIGKILL}
`
const DOCKERFILE = 'FROM busybox:1\nCOPY page /page\nCMD ["sleep", "1d"]\n'

/** Prints `ours theirs` in nanoseconds, one pair per line. Both run inside the host: getting there is not measured. */
const COMPARE = `
timed() { b=$(date +%s%N); "$@" >/dev/null 2>&1 </dev/null || { echo "failed: $*" >&2; exit 1; }; e=$(date +%s%N); echo $((e - b)); }
theirs() { cd "$theirs" && docker compose build && docker compose up -d --wait; }
ours() { cd "$ours" && "$binary" deploy --version v1; }
binary=$1 ours=$2 theirs=$3 n=$4
timed ours >/dev/null; timed theirs >/dev/null
while [ "$n" -gt 0 ]; do t=$(timed theirs) && o=$(timed ours) && echo "$o $t" || exit 1; n=$((n - 1)); done
`

/** Prints the greatest VmHWM, in kB, that the process itself reached. */
const MEMORY = `
"$@" >/tmp/.memory-$$ 2>&1 </dev/null & pid=$!
most=0
while kill -0 $pid 2>/dev/null; do
  now=$(sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$pid/status 2>/dev/null); [ "\${now:-0}" -le $most ] || most=$now
  sleep 0.02
done
wait $pid || { tail -5 /tmp/.memory-$$ >&2; exit 1; }
rm -f /tmp/.memory-$$; echo $most
`

// A docker whose build prints 50 MB first: BuildKit itself clips what a step prints at 2 MiB.
const TALKATIVE = `#!/bin/sh
case " $* " in *" build "*) yes 'step 7/9: compiling one more of the many modules of this application' | head -c 50000000 >&2 ;; esac
PATH=\${PATH#*:} exec docker "$@"
`

/** A deploy in which nothing changed, against what one would type without Stagecraft; and the memory it takes. */
export async function deployRows(engine: Engine): Promise<Row[]> {
  const [ours, theirs] = [project(engine, 'ours'), project(engine, 'theirs')]
  try {
    const compared = await run(engine, [
      'sh',
      '-c',
      COMPARE,
      'sh',
      engine.binary(),
      ours.path,
      theirs.path,
      String(PAIRS),
    ])
    const pairs = compared.split('\n').map((line) => line.split(' ').map((time) => Number(time) / 1e6))
    const compose = '`docker compose build && docker compose up -d --wait`'
    return [
      ratioRow(
        `\`deploy\`, nothing changed, against ${compose}`,
        pairs.map(([ours = Number.NaN, theirs = Number.NaN]) => ({ ours, theirs })),
        1.2,
      ),
      await memoryRow('peak memory of that deploy', engine, ours),
      await memoryRow('peak memory of one whose build prints 50 MB', engine, ours, talkativePath(ours)),
    ]
  } finally {
    await ours.cleanUp()
    await theirs.cleanUp()
  }
}

function project(engine: Engine, name: string): Folder {
  const folder = engine.folder(`bench-${name}`)
  folder.write('compose.yaml', COMPOSE)
  folder.write('web/Dockerfile', DOCKERFILE)
  folder.write('web/page', 'a page\n')
  return folder
}

function talkativePath(folder: Folder): string {
  folder.write('bin/docker', TALKATIVE, 0o755)
  return `${folder.path}/bin`
}

async function memoryRow(what: string, engine: Engine, folder: Folder, path?: string): Promise<Row> {
  const first = path === undefined ? [] : ['env', `PATH=${path}:${await pathOf(engine)}`]
  const argv = ['sh', '-c', MEMORY, 'sh', engine.binary(), 'deploy', '--version', 'v1']
  const mebibytes = Number(await run(engine, [...first, ...argv], folder.path)) / MEBIBYTE
  return {
    what,
    measured: `${mebibytes.toFixed(0)} MiB`,
    limit: `≤ ${MEMORY_LIMIT} MiB`,
    ok: mebibytes <= MEMORY_LIMIT,
  }
}

async function pathOf(engine: Engine): Promise<string> {
  return await run(engine, ['sh', '-c', 'echo "$PATH"'])
}

async function run(engine: Engine, argv: string[], cwd = '/'): Promise<string> {
  const { code, stdout, stderr } = await engine.exec(argv, { cwd, timeout: 600 })
  if (code !== 0) throw new Error(`Cannot measure on ${engine.name}: exit ${code}\n${stderr}`)
  return stdout.trim()
}
