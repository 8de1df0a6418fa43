/**
 * Scripts for a host, where nothing of ours is installed: /bin/sh and the tools of POSIX or of any Linux with util-linux or
 * busybox (flock, timeout, tar, gzip, base64, sha256sum). `$1` is always the environment's folder there.
 */

import { SESSION } from './session.ts'

/** @returns the values that a script printed after a word, one `word value` a line */
export function answersOf(stdout: string): (word: string) => string[] {
  const lines = stdout.split('\n')
  return (word) => lines.flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []))
}

/** `make FOLDER`: makes a folder for all users of the engine, whose group the engine's socket `$socket` has. */
export const MAKE = `make() {
  [ -d "$1" ] && return
  make "$(dirname "$1")"
  mkdir "$1" 2>/dev/null && { chmod 700 "$1"; chgrp "$(stat -c %G "$socket" 2>/dev/null)" "$1" 2>/dev/null && chmod 2770 "$1"; }
  [ -d "$1" ]
}`

/** Sets `$socket` to the engine's one; empty: there is none. */
export const FIND_SOCKET = `socket=
case \${DOCKER_HOST:-} in unix://*) socket=\${DOCKER_HOST#unix://} ;; esac
rootless=\${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/docker.sock
for one in /var/run/docker.sock "$rootless"; do [ "$socket" ] || { [ -S "$one" ] && [ -w "$one" ] && socket=$one; }; done
for one in /var/run/docker.sock "$rootless"; do [ "$socket" ] || { [ -S "$one" ] && socket=$one; }; done`

/**
 * Prints the paths and the access rights of the user on the host, one `word value` a line. `$1` the root in stagecraft.yml or
 * empty, `$2` project/environment, `$3` environment. Sets the arguments for READ (lib/hosts/scripts/objects.ts), which may follow.
 */
export const LOOK = `
${SESSION}
[ "$(session)" ] && echo 'session yes'
root=$1
[ "$root" ] || { [ -d /var/lib/stagecraft ] && [ -w /var/lib/stagecraft ] && root=/var/lib/stagecraft; }
[ "$root" ] || root=$HOME/.stagecraft
echo "folder $root/$2"
${FIND_SOCKET}
[ "$socket" ] && echo "socket $socket" && [ -w "$socket" ] && echo "may yes"
echo "user $(id -un)"
for tool in flock timeout tar gzip base64 sha256sum; do command -v $tool >/dev/null 2>&1 || echo "lacks $tool"; done
set -- "$root/$2" "$3"
`

/** What is copied of an environment's folder when its history moves; the file that readers begin with is last. */
export const KEPT = ['objects', 'releases', 'releases.json', 'head']

/** What containers have mounted: it is moved as a whole, regardless of who owns the files, and a link is left in its place. */
const CARRIED = ['data', 'content']

/** The name of `releases.json` in the former folder after the move: nobody goes on with it by mistake. */
export const LEFT = 'releases.json.moved'

const LEAVE_HERE = `{ [ ! -e head ] || mv -f head head.moved; } && mv -f releases.json ${LEFT} && grep -c '"id": "rel-' ${LEFT}`

/** Renames what was moved in the former folder, and prints the number of releases. Without `head`, other commands read again. */
export const LEAVE = `cd "$1" && ${LEAVE_HERE}`

/** Exit codes of MOVE: a run is under way there, or somebody holds it; there are other releases here as well. */
export const [MOVE_BUSY, MOVE_TWO] = [75, 76]

/** Exit codes of MOVE and MOVE_MOUNTED: data in both folders; another file system; content cannot be read. */
export const [MOVE_DATA, MOVE_FAR, MOVE_CONTENT] = [77, 78, 79]

/**
 * A rename needs no right to read the files in a folder, and running containers keep what they have mounted; the link is for
 * containers that start again from an older model. After an interruption it can be run again.
 */
const CARRY = `
clear() { chmod -R u+w "$1" 2>/dev/null; rm -rf "$1" || exit 74; }
hollow() { [ -z "$(find "$1/" -mindepth 1 ! -type d 2>&1 | head -n 1)" ]; } # a folder that may not be read counts as not empty
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

/** Moves all that an environment needs on one host: `$1` from, `$2` environment, `$3` to. */
export const MOVE = `${ALONE}
[ ! -e "$to/releases.json" ] || cmp -s releases.json "$to/releases.json" || exit ${MOVE_TWO}
carryAll
for one in ${KEPT.join(' ')}; do
  [ -e "$one" ] || continue
  clear "$to/.moving"
  cp -Rp "$one" "$to/.moving" || exit 74
  clear "$to/$one" # left by an interrupted or an earlier move
  mv "$to/.moving" "$to/$one" || exit 74
done
sync || exit 74
${LEAVE_HERE}`

/** Moves only what containers have mounted, and prints `moved` if there was anything to move. The arguments of MOVE. */
export const MOVE_MOUNTED = `[ -d "$1" ] || exit 0
${ALONE}
did=
carryAll
[ -z "$did" ] || echo moved`

/** Names that a folder without data may contain. Both a POSIX extended and a JavaScript regular expression. */
const NO_DATA = '^(\\.git.*|\\.keep|lost\\+found)$'

/** Whether the file `$1` exists: 0 yes, 1 no, 2 a folder above it may not be read. */
export const EXISTS = `[ -e "$1" ] && exit 0
folder=$(dirname "$1"); while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
[ -x "$folder" ] || exit 2
exit 1`

/**
 * Whether a service that mounted `$1` may mount `$2` now: 0 yes, 1 no, since `$2` is empty and the data is still in `$1`. A folder
 * that may not be read counts as not empty. `$1` is empty if the service mounted no folder.
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

/** Prints the first folder whose history has a release. `$1` its id, then the folders. */
export const WHERE_RELEASED = `
id=$1; shift
for root; do
  [ "$root" ] && grep -qF "\\"$id\\"" "$root/releases.json" 2>/dev/null && printf '%s\\n' "$root" && exit 0
done
exit 0`
