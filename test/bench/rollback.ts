import type { Engine } from '../support/engine.ts'
import { type Row, ratioRow } from './row.ts'

const PAIRS = 7

const COMPOSE = `services:
  web: {build: ./web, stop_signal: SIGKILL, healthcheck: {test: ["CMD", "true"], interval: 2s}}
  api: {image: "busybox:1", command: [sleep, "1d"], stop_signal: SIGKILL}
  cache: {image: "busybox:1", command: [sleep, "1d"], stop_signal: SIGKILL}
`
const DOCKERFILE = 'FROM busybox:1\nCOPY page /page\nCMD ["sleep", "1d"]\n'
const CONFIG =
  'environments: {local: {services: {api: {rollout: {min_ready: 100ms}}, cache: {rollout: {min_ready: 100ms}}}}}\n'

/** Prints `ours theirs` in nanoseconds, one pair per line: back and forth between two versions; one service differs. */
const COMPARE = `
timed() { b=$(date +%s%N); "$@" >/dev/null 2>&1 </dev/null || { echo "failed: $*" >&2; exit 1; }; e=$(date +%s%N); echo $((e - b)); }
web() { docker ps -q --filter "label=com.docker.compose.project=$name" --filter label=com.docker.compose.service=web; }
theirs() {
  docker stop "$id" && docker start "$id" || return 1
  for i in $(seq 200); do
    [ "$(docker inspect --format '{{.State.Health.Status}}' "$id")" != healthy ] || return 0
    sleep 0.05
  done
  return 1
}
ours() { "$binary" rollback --to-version "$to"; }
binary=$1 name=$2 n=$3 to=v1
for version in v1 v2; do
  echo $version >web/page
  "$binary" deploy --quiet --version $version >/dev/null || exit 1
done
while [ "$n" -gt 0 ]; do
  id=$(web); t=$(timed theirs) && o=$(timed ours) && echo "$o $t" || exit 1
  [ $to = v1 ] && to=v2 || to=v1
  n=$((n - 1))
done
`

/** A rollback of which one service of three differs, against stopping and starting that one container by hand. */
export async function rollbackRows(engine: Engine): Promise<Row[]> {
  const folder = engine.folder('bench-rollback')
  try {
    folder.write('compose.yaml', COMPOSE)
    folder.write('stagecraft.yml', CONFIG)
    folder.write('web/Dockerfile', DOCKERFILE)
    folder.write('web/page', '')
    const argv = ['sh', '-c', COMPARE, 'sh', engine.binary(), folder.name, String(PAIRS)]
    const { code, stdout, stderr } = await folder.exec(argv, { timeout: 600 })
    if (code !== 0) throw new Error(`Cannot measure a rollback on ${engine.name}: exit ${code}\n${stderr}`)
    const pairs = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' ').map((time) => Number(time) / 1e6))
      .map(([ours = Number.NaN, theirs = Number.NaN]) => ({ ours, theirs }))
    const what = '`rollback`, one service of three differs, against `docker stop`, `docker start`, healthy'
    return [ratioRow(what, pairs, 1.2)]
  } finally {
    await folder.cleanUp()
  }
}
