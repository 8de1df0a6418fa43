/**
 * Scripts for the locks of a host: /bin/sh and the tools that every Linux has (lib/hosts/scripts/state.ts). `$1` is always the
 * environment's folder there, `$2` the environment.
 */

import { SESSION } from './session.ts'
import { SHORT_LIMIT, shortLock } from './short-lock.ts'
import { MAKE } from './state.ts'

/** Seconds without a sign of life after which a host lets go of a lock. */
const SILENCE = 15

/** The last byte sent to release the lock: the connection stays open. */
export const OVER = 'x'

/** Exit codes of LOCK, besides STUCK: another run has the lock; somebody holds the environment; the lock was removed. */
export const [BUSY, FROZEN, REMOVED] = [75, 76, 77]

/**
 * `fence ID`: for a run that lost its lock, ends everything that could still change something here, and waits for the end: its
 * bridges to the engine, which have the connection's id in their environment, and its session of sshd.
 */
const FENCE = `${SESSION}
fence() {
  for file in $(grep -ls "STAGECRAFT_CONNECTION=$1" /proc/[0-9]*/environ); do
    pid=\${file#/proc/}; kill -9 "\${pid%/environ}" 2>/dev/null
  done
  carrier=$(session) && kill -9 "$carrier" 2>/dev/null || return
  tries=0
  while kill -0 "$carrier" 2>/dev/null && ! grep -qs '^State:.*Z' "/proc/$carrier/status" && [ $tries -lt 50 ]; do
    nap; tries=$((tries + 1))
  done
}`

/**
 * Holds the lock of an environment as long as heartbeats arrive: a process that only waited would hold it for hours after a cable
 * was cut. A run that falls silent, or ends without OVER, has lost the lock: it is fenced off while the lock is still held. `$3`
 * token, `$4` the holder (JSON), `$5` the socket whose group shares the folder, `$6` the connection's id. Retries, since readers
 * take the lock for an instant.
 */
export const LOCK = `
umask 007
socket=$5
${MAKE}
${shortLock(SHORT_LIMIT)}
${FENCE}
make "$1/locks" && cd "$1" || exit 74
exec 9>>"locks/$2.lock" || exit 74
tries=0
until flock -n 9; do [ $tries -lt 3 ] || exit ${BUSY}; nap; tries=$((tries + 1)); done
short
[ -e "locks/$2.hold.json" ] && exit ${FROZEN}
printf %s "$3" >.token-$$ && mv .token-$$ locks/token
printf '%s\\n' "$4" >.holder-$$ && mv .holder-$$ "locks/$2.json" || exit 74
exec 8>&-
echo "locked $(cat head 2>/dev/null)"
end=
while [ "locks/$2.lock" -ef /proc/$$/fd/9 ] || { end=${REMOVED}; false; }; do
  case $(exec 9>&-; timeout ${SILENCE} dd bs=1 count=1 2>/dev/null) in
    .) ;;
    ${OVER}) exit 0 ;;
    *) break ;;
  esac
done
exec </dev/null >/dev/null 2>&1
fence "$6"
exit \${end:-0}
`

/** Prints whether a run is under way, its description, and that of a hold, one line each. */
export const WHO = `
cd "$1" 2>/dev/null || exit 0
[ -e "locks/$2.lock" ] && { flock -n -s "locks/$2.lock" true || echo "locked yes"; }
for one in "holder locks/$2.json" "hold locks/$2.hold.json"; do
  [ -e "\${one#* }" ] && echo "\${one%% *} $(tr -d '\\n' <"\${one#* }")"
done
exit 0
`
