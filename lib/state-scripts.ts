/**
 * What is done on a host without anything of ours being there: by /bin/sh and the tools that POSIX, or every Linux with
 * util-linux or busybox, has (flock, timeout, tar, gzip, base64, sha256sum). `$1` is always the environment's folder there.
 */

/** @returns what a script of ours said after a word: it says one `word value` a line */
export function answersOf(stdout: string): (word: string) => string[] {
  const lines = stdout.split('\n')
  return (word) => lines.flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []))
}

/** Makes a folder for all who may use the engine: `$socket` is its, and has their group. */
export const MAKE = `make() {
  [ -d "$1" ] && return
  make "$(dirname "$1")"
  mkdir "$1" 2>/dev/null && { chgrp "$(stat -c %G "$socket" 2>/dev/null)" "$1" 2>/dev/null; chmod 2770 "$1"; }
  [ -d "$1" ]
}`

/**
 * Says where things are, and who may use them, one `word value` a line: what is known of the host (`$1` the root that is
 * asked for or nothing, `$2` project/environment, `$3` environment). Leaves the arguments of READ (lib/state-objects.ts), which may follow.
 */
export const LOOK = `
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

/**
 * Holds the lock of an environment for as long as it is fed a byte every now and then: a process that just waited would
 * hold it for hours after a cable was cut. `$2` environment, `$3` token, `$4` who holds it (JSON), `$5` the socket
 * whose group shares the folder. Exits 75 where another run has it, 76 where somebody holds it.
 */
export const LOCK = `
umask 007
socket=$5
${MAKE}
make "$1/locks" && cd "$1" || exit 74
exec 9>>"locks/$2.lock" || exit 74
flock -n 9 || exit 75
exec 8>>locks/state && flock 8 || exit 74
[ -e "locks/$2.hold.json" ] && exit 76
printf %s "$3" >.token-$$ && mv .token-$$ locks/token
printf '%s\\n' "$4" >.holder-$$ && mv .holder-$$ "locks/$2.json" || exit 74
exec 8>&-
echo "locked $(cat head 2>/dev/null)"
while [ "$(timeout ${15} dd bs=1 count=1 2>/dev/null 9>&-)" ]; do :; done
`

/** What is kept of releases, beside their locks; what a reader goes by last. */
export const KEPT = ['content', 'objects', 'releases', 'releases.json', 'head']

/** What takes the place of `releases.json` where it was before it was moved: nobody goes on with it by mistake. */
export const LEFT = 'releases.json.moved'

const LEAVE_HERE = `{ [ ! -e head ] || mv -f head head.moved; } && mv -f releases.json ${LEFT} && grep -c '"id": "rel-' ${LEFT}`

/** Leaves what has been moved, and says how many releases. Without `head`: who has read what was here reads again. */
export const LEAVE = `cd "$1" && ${LEAVE_HERE}`

/** Exit codes of MOVE: a run is under way there; there are other releases here as well. */
export const [MOVE_BUSY, MOVE_TWO] = [75, 76]

/** On the same host: `$1` from, `$2` environment, `$3` to. Content is what containers have mounted, and stays there too. */
export const MOVE = `cd "$1" && mkdir -p locks && exec 9>>"locks/$2.lock" || exit 74
flock -n 9 || exit ${MOVE_BUSY}
[ ! -e "$3/releases.json" ] || cmp -s releases.json "$3/releases.json" || exit ${MOVE_TWO}
for one in ${KEPT.join(' ')}; do [ ! -e "$one" ] || cp -Rp "$one" "$3/" || exit 74; done
sync
${LEAVE_HERE}`

/** Whether there is a file `$1`: 0 yes, 1 no, 2 a folder on the way may not be looked into. */
export const EXISTS = `[ -e "$1" ] && exit 0
folder=$(dirname "$1"); while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
[ -x "$folder" ] || exit 2
exit 1`
