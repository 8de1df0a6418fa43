/**
 * What is done on a host without anything of ours being there: by /bin/sh and the tools that POSIX, or every Linux with
 * util-linux or busybox, has (flock, timeout, tar, gzip, base64, sha256sum). `$1` is always the environment's folder there.
 */

import { SESSION } from './ssh-session.ts'

/** @returns what a script of ours said after a word: it says one `word value` a line */
export function answersOf(stdout: string): (word: string) => string[] {
  const lines = stdout.split('\n')
  return (word) => lines.flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []))
}

/** Makes a folder for all who may use the engine: `$socket` is its, and has their group. */
export const MAKE = `make() {
  [ -d "$1" ] && return
  make "$(dirname "$1")"
  mkdir "$1" 2>/dev/null && { chmod 700 "$1"; chgrp "$(stat -c %G "$socket" 2>/dev/null)" "$1" 2>/dev/null && chmod 2770 "$1"; }
  [ -d "$1" ]
}`

/**
 * Says where things are, and who may use them, one `word value` a line: what is known of the host (`$1` the root that is
 * asked for or nothing, `$2` project/environment, `$3` environment). Leaves the arguments of READ (lib/state-objects.ts), which may follow.
 */
export const LOOK = `
${SESSION}
[ "$(session)" ] && echo 'session yes'
root=$1
[ "$root" ] || { [ -d /var/lib/stagecraft ] && [ -w /var/lib/stagecraft ] && root=/var/lib/stagecraft; }
[ "$root" ] || root=$HOME/.stagecraft
echo "folder $root/$2"
socket=
case \${DOCKER_HOST:-} in unix://*) socket=\${DOCKER_HOST#unix://} ;; esac
rootless=\${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/docker.sock
for one in /var/run/docker.sock "$rootless"; do [ "$socket" ] || { [ -S "$one" ] && [ -w "$one" ] && socket=$one; }; done
for one in /var/run/docker.sock "$rootless"; do [ "$socket" ] || { [ -S "$one" ] && socket=$one; }; done
[ "$socket" ] && echo "socket $socket" && [ -w "$socket" ] && echo "may yes"
echo "user $(id -un)"
for tool in flock timeout tar gzip base64 sha256sum; do command -v $tool >/dev/null 2>&1 || echo "lacks $tool"; done
set -- "$root/$2" "$3"
`

/** What is copied of an environment's folder when its history moves; what readers go by is last. */
export const KEPT = ['objects', 'releases', 'releases.json', 'head']

/** What containers have mounted: it is moved as a whole, whoever owns what is in it, and a link is left in its place. */
const CARRIED = ['data', 'content']

/** What takes the place of `releases.json` where it was before it was moved: nobody goes on with it by mistake. */
export const LEFT = 'releases.json.moved'

const LEAVE_HERE = `{ [ ! -e head ] || mv -f head head.moved; } && mv -f releases.json ${LEFT} && grep -c '"id": "rel-' ${LEFT}`

/** Leaves what has been moved, and says how many releases. Without `head`: who has read what was here reads again. */
export const LEAVE = `cd "$1" && ${LEAVE_HERE}`

/** Exit codes of MOVE: a run is under way there, or somebody holds it; there are other releases here as well. */
export const [MOVE_BUSY, MOVE_TWO] = [75, 76]

/** Of both: there is data in both folders; it is on another file system; content cannot be read. */
export const [MOVE_DATA, MOVE_FAR, MOVE_CONTENT] = [77, 78, 79]

/**
 * A rename needs no right to read what is in a folder, and containers that run keep what they have mounted; the link is for
 * those that start again by an older model. Whoever is interrupted in between does it again.
 */
const CARRY = `
clear() { chmod -R u+w "$1" 2>/dev/null; rm -rf "$1" || exit 74; }
hollow() { [ -z "$(find "$1/" -mindepth 1 ! -type d 2>&1 | head -n 1)" ]; } # what may not be looked into holds something
carry() {
  [ ! -L "$1" ] || return 0
  if [ -L "$to/$1" ] && [ "$to/$1" -ef "$1" ]; then rm -f "$to/$1" || exit 74; fi
  if [ ! -e "$1" ]; then [ ! -e "$to/$1" ] || ln -s "$to/$1" "$1" || exit 74; return 0; fi
  if [ -d "$to/$1" ] && hollow "$to/$1"; then find "$to/$1" -depth -type d -exec rmdir {} + || exit 74; fi
  if [ ! -e "$to/$1" ] && [ "$(stat -c %d "$1")" = "$(stat -c %d "$to")" ]; then
    mv "$1" "$to/$1" && ln -s "$to/$1" "$1" || exit 74
    did=yes
    return 0
  fi
  if [ "$1" = data ]; then
    hollow data || { [ ! -e "$to/data" ] && exit ${MOVE_FAR}; exit ${MOVE_DATA}; }
    return 0
  fi
  mkdir -p "$to/$1" || exit 74
  for entry in "$1"/*; do
    name=\${entry##*/}
    [ -e "$entry" ] && [ ! -e "$to/$1/$name" ] || continue
    clear "$to/$1/.moving"
    cp -Rp "$entry" "$to/$1/.moving" || exit ${MOVE_CONTENT}
    mv "$to/$1/.moving" "$to/$1/$name" || exit 74
    did=yes
  done
}
carryAll() { for one in ${CARRIED.join(' ')}; do carry $one; done; }`

const ALONE = `umask 007; cd "$1" && mkdir -p locks && exec 9>>"locks/$2.lock" || exit 74
to=$3
flock -n 9 || exit ${MOVE_BUSY}
[ ! -e "locks/$2.hold.json" ] || { echo "held by a person (locks/$2.hold.json)" >&2; exit ${MOVE_BUSY}; }
${CARRY}`

/** On the same host: `$1` from, `$2` environment, `$3` to. All that an environment needs; what readers go by is last. */
export const MOVE = `${ALONE}
[ ! -e "$to/releases.json" ] || cmp -s releases.json "$to/releases.json" || exit ${MOVE_TWO}
carryAll
for one in ${KEPT.join(' ')}; do
  [ -e "$one" ] || continue
  clear "$to/.moving"
  cp -Rp "$one" "$to/.moving" || exit 74
  clear "$to/$one" # of a move that was interrupted, or from here, earlier
  mv "$to/.moving" "$to/$one" || exit 74
done
sync || exit 74
${LEAVE_HERE}`

/** Only what containers have mounted; says whether there was something to do. The same arguments. */
export const MOVE_MOUNTED = `[ -d "$1" ] || exit 0
${ALONE}
did=
carryAll
[ -z "$did" ] || echo moved`

/** Names that are in a folder which holds nothing. A POSIX extended regular expression, and one of ours. */
export const NO_DATA = '^(\\.git.*|\\.keep|lost\\+found)$'

/** Whether there is a file `$1`: 0 yes, 1 no, 2 a folder on the way may not be looked into. */
export const EXISTS = `[ -e "$1" ] && exit 0
folder=$(dirname "$1"); while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
[ -x "$folder" ] || exit 2
exit 1`

/**
 * Whether what mounted `$1` may mount `$2` now: 0 yes, 1 it would find nothing there, and what it had is where it was. What
 * may not be looked at holds something. `$1` may be empty: it was no folder.
 */
export const SAME_DATA = `
bare() { [ -d "$1" ] && [ -r "$1" ] && [ -x "$1" ] && ! ls -A "$1" | grep -qvE '${NO_DATA}'; }
gone() {
  [ ! -e "$1" ] || return 1
  folder=$(dirname "$1"); while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
  [ -x "$folder" ]
}
[ "$1" -ef "$2" ] && exit 0
if [ "$1" ]; then { gone "$1" || bare "$1"; } && exit 0; fi
[ -e "$2" ] && ! bare "$2"`

/** Says the first folder whose history has a release: `$1` its id, then folders. */
export const WHERE_RELEASED = `
id=$1; shift
for root; do
  [ "$root" ] && grep -qF "\\"$id\\"" "$root/releases.json" 2>/dev/null && printf '%s\\n' "$root" && exit 0
done
exit 0`
