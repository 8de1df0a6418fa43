/**
 * The short lock of a host's state, for scripts that run in the folder of an environment there.
 */

/** The exit code of a script that does not get the short lock in time. */
export const STUCK = 73

/** Seconds to wait for the short lock. */
export const SHORT_LIMIT = 20

/** `nap` sleeps; `$naps` naps take a second. */
const NAP = `naps=5
nap() { sleep 0.2 2>/dev/null || { naps=1; sleep 1; }; }`

/**
 * `short`: takes the short lock `locks/state` as descriptor 8. While another process has it, prints once a second `waits` and, if
 * the user may know them, its holders; after so many seconds it exits (STUCK). It also ends if nobody reads its output any more.
 */
export const shortLock = (seconds: number) => `${NAP}
holders() {
  exec 8>&- 9>&-
  file=$(pwd -P)/locks/state
  {
    for info in $(grep -ls FLOCK /proc/[0-9]*/fdinfo/*); do
      pid=\${info#/proc/}; pid=\${pid%%/*}
      [ "$(readlink "/proc/$pid/fd/\${info##*/}")" = "$file" ] && echo "$pid"
    done
    sed -n "s/^[0-9]*: FLOCK .* \\([0-9]*\\) [^ ]*:$(stat -c %i "$file") .*/\\1/p" /proc/locks
  } 2>/dev/null | sort -nu | head -n 3 | while read -r pid; do
    [ -d "/proc/$pid" ] || continue
    printf '%s' "\${comma:-}$(sed -n 's/^Name:[[:space:]]*//p' "/proc/$pid/status") (pid $pid, $(stat -c %U "/proc/$pid"))"
    comma=', '
  done
}
short() {
  exec 8>>locks/state || exit 74
  flock -n 8 && return
  tries=0 by=
  until flock -n 8; do
    [ $tries = $naps ] && by=$(holders)
    [ $((tries % naps)) = 0 ] && [ $tries -ge $naps ] && echo "waits $by"
    [ $tries -lt $((${seconds} * naps)) ] || { echo "stuck $(holders)"; exit ${STUCK}; }
    nap; tries=$((tries + 1))
  done
}`
