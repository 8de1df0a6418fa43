/**
 * What is done on a host without anything of ours being there: by /bin/sh and the tools that POSIX, or every Linux with
 * util-linux or busybox, has (flock, timeout, tar, base64). `$1` is always the environment's folder there.
 */

/** @returns what a script of ours said after a word: it says one `word value` a line */
export function answersOf(stdout: string): (word: string) => string[] {
  const lines = stdout.split('\n')
  return (word) => lines.flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []))
}

/** Makes a folder for all who may use the engine: `$socket` is its, and has their group. */
const MAKE = `make() {
  [ -d "$1" ] && return
  make "$(dirname "$1")"
  mkdir "$1" 2>/dev/null && { chgrp "$(stat -c %G "$socket" 2>/dev/null)" "$1" 2>/dev/null; chmod 2770 "$1"; }
  [ -d "$1" ]
}`

/**
 * Says where things are, and who may use them, one `word value` a line: what is known of the host (`$1` the root that is
 * asked for or nothing, `$2` project/environment, `$3` environment). Leaves the arguments of FETCH, which may follow.
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
for tool in flock timeout tar base64; do command -v $tool >/dev/null 2>&1 || echo "lacks $tool"; done
set -- "$root/$2" "$3"
`

/**
 * What the environment's folder holds: `locked` if a run is at it, the names of its content, then its files as a tar.gz in
 * base64. `$2` is the environment.
 */
export const FETCH = `
cd "$1" 2>/dev/null || { [ -e "$1" ] && exit 74; exit 0; }
[ -e "locks/$2.lock" ] && { flock -n -s "locks/$2.lock" true || echo "locked yes"; }
echo "generation $(cat generation 2>/dev/null)"
[ -d content ] && ls content | sed 's/^/content /'
echo files
find releases.json releases locks -type f \\( -name '[!.]*.json' -o -name '[!.]*.jsonl' \\) 2>/dev/null | tar -czf - -T - | base64
`

/**
 * Takes what has changed, a tar.gz in base64 on stdin, if `$2` is still the environment's lock's (or is empty). New
 * content first and the state last; each file by a rename, and all of it on the disk before the word `kept`. `append`
 * holds what is added to files, `removed` names what goes. `$3` is the socket whose group shares the folder.
 */
export const KEEP = `
umask 007
socket=$3
${MAKE}
flush() { sync "$@" 2>/dev/null || sync; }
make "$1" && cd "$1" && make locks || exit 74
exec 8>>locks/state && flock 8 || exit 74
[ -z "$2" ] || [ "$2" = "$(cat locks/token 2>/dev/null)" ] || exit 75
for old in .in-*; do [ -e "$old" ] && { chmod -R u+w "$old"; rm -rf "$old"; }; done
in=.in-$$
mkdir $in && base64 -d | tar -xzopf - -C $in || { rm -rf $in; exit 74; }
if [ -d $in/content ]; then
  make content
  for path in $in/content/*; do
    name=\${path##*/}
    [ -e "content/$name" ] && continue
    find "$path" -type f -exec sync {} + 2>/dev/null || sync
    { [ ! -d "$path" ] || chmod u+w "$path"; } && mv "$path" content/ || exit 74
  done
  for path in $in/modes/*; do chmod "$(cat "$path")" "content/\${path##*/}"; done
  flush content
fi
place() {
  chmod 660 "$in/$1" && flush "$in/$1" && make "$(dirname "$1")" && mv -f "$in/$1" "$1" && flush "$(dirname "$1")"
}
(cd $in && find releases locks generation -type f 2>/dev/null) >$in/found
{ grep /hosts/ $in/found; grep -v /hosts/ $in/found; } >$in/list # the bundle of a release says that it serves: after its parts
while read -r file; do place "$file" || exit 74; done <$in/list
if [ -d $in/append ]; then
  (cd $in/append && find releases -type f) >$in/list
  while read -r file; do cat "$in/append/$file" >>"$file" && flush "$file" || exit 74; done <$in/list
fi
[ ! -e $in/releases.json ] || place releases.json || exit 74
if [ -e $in/removed ]; then
  while read -r path; do
    [ -d "$path" ] && chmod -R u+w "$path" 2>/dev/null
    rm -rf "./$path"
  done <$in/removed
fi
rm -rf $in
echo kept
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
echo "locked $(cat generation 2>/dev/null)"
while [ "$(timeout ${15} dd bs=1 count=1 2>/dev/null 9>&-)" ]; do :; done
`

/** What is kept of releases, beside their locks; the state last. */
export const KEPT = ['content', 'releases', 'releases.json']

/** What takes the place of `releases.json` where it was before it was moved: nobody goes on with it by mistake. */
export const LEFT = 'releases.json.moved'

const LEAVE_HERE = `mv -f releases.json ${LEFT} && echo "moved $(date +%s) $$" >generation && grep -c '"id": "rel-' ${LEFT}`

/** Leaves what has been moved, and says how many releases. Another generation: who has read what was here reads again. */
export const LEAVE = `cd "$1" && ${LEAVE_HERE}`

/** Exit codes of MOVE: a run is under way there; there are other releases here as well. */
export const [MOVE_BUSY, MOVE_TWO] = [75, 76]

/** On the same host: `$1` from, `$2` environment, `$3` to. Content is what containers have mounted, and stays there too. */
export const MOVE = `cd "$1" && mkdir -p locks && exec 9>>"locks/$2.lock" || exit 74
flock -n 9 || exit ${MOVE_BUSY}
[ ! -e "$3/releases.json" ] || cmp -s releases.json "$3/releases.json" || exit ${MOVE_TWO}
for one in ${KEPT.join(' ')}; do [ ! -e "$one" ] || cp -Rp "$one" "$3/" || exit 74; done
echo "moved $(date +%s) $$" >"$3/generation"; sync
${LEAVE_HERE}`

/** Whether there is a file `$1`: 0 yes, 1 no, 2 a folder on the way may not be looked into. */
export const EXISTS = `[ -e "$1" ] && exit 0
folder=$(dirname "$1"); while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
[ -x "$folder" ] || exit 2
exit 1`
