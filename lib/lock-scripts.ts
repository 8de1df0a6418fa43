/**
 * What is done on a host about its locks, by /bin/sh and the tools that every Linux has (lib/state-scripts.ts). `$1` is
 * always the environment's folder there, `$2` the environment.
 */

import { SHORT_LIMIT, shortLock } from './short-lock.ts'
import { SESSION } from './ssh-session.ts'
import { MAKE } from './state-scripts.ts'

/** Seconds without a sign of life after which a host lets go of a lock. */
const SILENCE = 15

/** The last word of who lets go: the connection stays. */
export const OVER = 'x'

/** Exit codes of LOCK, besides STUCK: another run has it; somebody holds it; it was removed. */
export const [BUSY, FROZEN, REMOVED] = [75, 76, 77]

/**
 * `fence ID`: ends what could still change something here for a run that lost its lock, and waits until it is gone: the
 * bridges of its connection to the engine, which have the connection's id in their environment, and the session of sshd.
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
 * Holds the lock of an environment for as long as it is fed a byte every now and then: a process that just waited would
 * hold it for hours after a cable was cut. Whoever falls silent, or goes without a word, has lost it: what could go on for
 * them is ended while the lock is still held. `$3` token, `$4` who holds it (JSON), `$5` the socket whose group shares the
 * folder, `$6` the connection's id. Readers have the lock for an instant: that is not another run.
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

/** Says who is at work, and who holds it, as LOCK and `lock hold` wrote it; one line each. */
export const WHO = `
cd "$1" 2>/dev/null || exit 0
[ -e "locks/$2.lock" ] && { flock -n -s "locks/$2.lock" true || echo "locked yes"; }
for one in "holder locks/$2.json" "hold locks/$2.hold.json"; do
  [ -e "\${one#* }" ] && echo "\${one%% *} $(tr -d '\\n' <"\${one#* }")"
done
exit 0
`
