/** Scripts for what runs jobs at their hours on a host: a POSIX shell, and cron or systemd. They change only what has our mark. */

import { FIND_SOCKET } from '../scripts/state.ts'

/** The folder of unit files and the command for them, of root or of any other user. */
const UNITS = `if [ "$(id -u)" = 0 ]; then units=/etc/systemd/system; ctl() { systemctl "$@"; }
else
  units=\${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
  export XDG_RUNTIME_DIR="\${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"
  ctl() { systemctl --user "$@"; }
fi`

/** `crontab_now FILE`: writes the user's crontab there; without one, nothing. Fails if the user may not have one. */
const CRONTAB = `crontab_now() {
  said=$(LC_ALL=C crontab -l 2>&1 >"$1") && return
  case $said in *[Nn]'o crontab'* | *'No such file'*) : >"$1" ;; *) printf '%s\\n' "$said" >&2; return 1 ;; esac
}`

/**
 * Prints what a host has that runs jobs, and the lines of a project there, one `word value` a line. `$1`: how docker reaches the
 * engine; empty: by its socket. `$2`, `$3`: what is in each of the project's lines of a crontab, and begins its units.
 */
export const LOOK_SCHEDULES = `
${FIND_SOCKET}
echo "endpoint \${1:-unix://$socket}"
echo "user $(id -un)"
echo "docker $(command -v docker)"
echo "time $(date '+%Y-%m-%d %H:%M %Z')"
${CRONTAB}
if command -v crontab >/dev/null 2>&1; then
  now=$(mktemp) || exit 74
  if why=$(crontab_now "$now" 2>&1); then
    echo 'crontab yes'
    grep -F -- "$2" "$now" | sed 's/^/line /'
  else echo "refuses $why" | head -n 1
  fi
  rm -f "$now"
fi
if [ -d /proc/self ]; then
  cat /proc/[0-9]*/comm 2>/dev/null | grep -qxE 'cron|crond|cronie|fcron' && echo 'cron runs'
  cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -qx crond && echo 'cron runs' # busybox crond
  for pid in /run/cron.pid /run/crond.pid /var/run/cron.pid /var/run/crond.pid; do
    [ -s "$pid" ] && [ -d "/proc/$(cat "$pid" 2>/dev/null)" ] && echo 'cron runs' && break
  done
else echo 'cron runs' # elsewhere the system starts it when there is a crontab
fi
if [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; then
  ${UNITS}
  lingers=$(loginctl show-user "$(id -un)" --property Linger --value 2>/dev/null)
  if [ "$(id -u)" = 0 ] || [ "$lingers" = yes ]; then echo 'systemd yes'; else echo 'systemd lingers-not'; fi
  for unit in "$units/$3"*.timer; do
    [ -e "$unit" ] && ctl is-active -q "\${unit##*/}" 2>/dev/null && sed -n 's/^# //p' "$unit" | head -n 1 | sed 's/^/line /'
  done
fi
true
`

/**
 * Writes the lines `$2` with the mark `$1`, which each has at its end, in place of those there are, before all others: no
 * variable that the user sets there is meant for them. Nobody's change is lost: of ours by a lock, of others by a second look.
 */
export const WRITE_CRONTAB = `
umask 077
mark=$1 lines=$2
export mark
${CRONTAB}
command -v crontab >/dev/null 2>&1 || { [ -z "$lines" ] && exit 0; echo 'there is no crontab command' >&2; exit 1; }
folder=$(mktemp -d) || exit 74
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
[ -r "$HOME" ] && exec 9<"$HOME" && { flock 9 2>/dev/null || true; }
ours() { LC_ALL=C awk '{ at = length($0) - length(ENVIRON["mark"]) + 1 } at > 0 && substr($0, at) == ENVIRON["mark"]' "$1"; }
others() { LC_ALL=C awk '{ at = length($0) - length(ENVIRON["mark"]) + 1 } at <= 0 || substr($0, at) != ENVIRON["mark"]' "$1"; }
tries=0
while [ $tries -lt 5 ]; do
  tries=$((tries + 1))
  crontab_now "$folder/now" || exit 1
  { [ -z "$lines" ] || printf '%s\\n' "$lines"; others "$folder/now"; } >"$folder/next" || exit 74
  cmp -s "$folder/now" "$folder/next" && exit 0
  crontab_now "$folder/again" && cmp -s "$folder/now" "$folder/again" || continue
  if [ -s "$folder/next" ]; then crontab "$folder/next" || exit 1; else crontab -r || exit 1; fi
  crontab_now "$folder/now" && [ "$(ours "$folder/now")" = "$lines" ] && exit 0
done
echo 'the crontab changes all the time' >&2
exit 1
`

/**
 * Makes systemd have exactly these timers of a prefix. `$1`: the prefix; then for each: its name, the text of its service, and of
 * its timer. A unit that stays as it is is not touched.
 */
export const WRITE_UNITS = `
umask 022
prefix=$1
shift
[ -d /run/systemd/system ] || { [ $# = 0 ] && exit 0; echo 'systemd does not run' >&2; exit 1; }
${UNITS}
mkdir -p "$units" || exit 1
wanted=
write() {
  printf '%s' "$2" | cmp -s - "$1" && return
  changed=yes
  printf '%s' "$2" >"$1.new~" && mv -f "$1.new~" "$1" || exit 1
}
again=
while [ $# -ge 3 ]; do
  changed=
  write "$units/$1.service" "$2"
  write "$units/$1.timer" "$3"
  wanted="$wanted $1.timer "
  [ -z "$changed" ] || again=yes
  shift 3
done
for unit in "$units/$prefix"*.timer; do
  name=\${unit##*/}
  [ -e "$unit" ] || continue
  case $wanted in *" $name "*) continue ;; esac
  ctl disable --now "$name" >/dev/null 2>&1
  rm -f "$unit" "\${unit%.timer}.service" || exit 1
  again=yes
done
[ -z "$again" ] || ctl daemon-reload || exit 1
for name in $wanted; do
  ctl enable -q "$name" || exit 1
  if [ "$again" ]; then ctl restart "$name"; else ctl start "$name"; fi || exit 1
done
exit 0
`
