import { SHORT_LIMIT, shortLock } from './short-lock.ts'
import { MAKE } from './state.ts'

/**
 * Scripts that read and write the state of an environment on a host: /bin/sh and the tools that every Linux has
 * (spec/core/hosts.md, "What the host keeps"). `$1` is always the environment's folder there.
 */

/** Exit codes of WRITE, besides STUCK (lib/hosts/scripts/short-lock.ts). */
export const EXITS = {
  /** a command there failed; its message is on stderr */
  failed: 74,
  /** another run has the lock of the environment now */
  lost: 75,
  /** somebody else has written since the state was read */
  changed: 76,
} as const

/** Files that belong to a state, by their readable names. */
const READABLE = String.raw`-type f \( -name '[!.]*.json' -o -name '[!.]*.jsonl' \)`

/**
 * Prints what the environment's folder contains, one `word value` a line; `$2` is the environment. `head` names the manifest,
 * which is printed first; after the line `files` come the objects in the manifest's order, gzipped, in base64. Without `head`, an
 * earlier version has written the files, and their readable names count. `plain`: a file under its readable name that is not a
 * link to the object. The last line is `end 0`; before another number, `unreadable` and `missing` name the files.
 */
export const READ = `
tell() { [ -e "$1" ] && echo "unreadable $2" || echo "missing $2"; }
cd "$1" 2>/dev/null || {
  at=$1; while [ ! -e "$at" ]; do at=$(dirname "$at"); done
  if [ "$at" != "$1" ] && [ -x "$at" ]; then echo "end 0"; else echo "unreadable $at"; echo "end 1"; fi
  exit 0
}
for one in releases releases/*/ objects content locks; do
  [ ! -e "$one" ] || { [ -r "$one" ] && [ -x "$one" ]; } || echo "unreadable $one"
done
[ -e "locks/$2.lock" ] && { flock -n -s "locks/$2.lock" true || echo "locked yes"; }
for one in "$2.json" "$2.hold.json"; do
  [ ! -e "locks/$one" ] || { [ -r "locks/$one" ] && echo "lock $one $(base64 <"locks/$one" | tr -d '\\n')"; } || tell "locks/$one" "locks/$one"
done
[ ! -d content ] || ls content | sed 's/^/content /'
head=
if [ -e head ] || [ -L head ]; then
  head=$(cat head) && [ "$head" ] || { [ -r head ] && echo "missing head" || tell head head; echo "end 1"; exit 0; }
fi
set --
[ ! -e releases.json ] || set -- releases.json
[ ! -d releases ] || set -- "$@" releases
if [ "$head" ]; then
  echo "head $head"
  list=objects/\${head%% *}
  sed 's/^/entry /' "$list" || { tell "$list" "$list"; echo "end 1"; exit 0; }
  [ $# = 0 ] || find "$@" ${READABLE} -links 1 | while read -r one; do
    sum=$(sha256sum <"$one") && echo "plain \${sum%% *} $one" || tell "$one" "$one"
  done
  all() { cut -d ' ' -f 1 "$list" | sed 's,^,objects/,' | xargs cat; }
  explain() { while read -r hash size path; do [ -r "objects/$hash" ] || tell "objects/$hash" "$path"; done <"$list"; }
elif [ $# = 0 ]; then
  all() { :; }
else
  find "$@" ${READABLE} -exec sha256sum {} + | sed 's/^/sum /'
  find "$@" ${READABLE} -exec wc -c {} + | sed 's/^ */size /'
  files() { find releases.json releases ${READABLE} "$@" 2>/dev/null; }
  all() { find "$@" ${READABLE} -exec cat {} +; }
  explain() { find "$@" ${READABLE} | while read -r one; do [ -r "$one" ] || tell "$one" "$one"; done; }
fi
echo files
{ code=$( { { all "$@"; echo $? >&6; } | gzip -1 -c | base64 >&5; } 6>&1 ); } 5>&1
[ "$code" = 0 ] || explain "$@"
echo "end $code"
`

/** Prints a text that is another one after a change of the state or the lock: far less than READ does. `$2` the environment. */
export const SIGN = `
cd "$1" 2>/dev/null || exit 0
cat head 2>/dev/null
flock -n -s "locks/$2.lock" true 2>/dev/null && echo free
stat -c '%n %i %Y %s' releases.json "locks/$2.json" "locks/$2.hold.json" 2>/dev/null
exit 0
`

/**
 * Writes the changes, all or none, by one rename: that of `head`. stdin: a tar.gz in base64 (lib/hosts/state/pack.ts). `$2` the
 * token of the environment's lock, or empty; `$3` the socket whose group shares the folder; `$4` SHA-256 of the archive's `sums`;
 * `$5` the old `head`; `$6` the new one, or empty if only descriptions of locks change.
 *
 * Each step is checked and on the disk before the next: what arrived is what was sent; content; objects; descriptions of locks;
 * `head`. Then it prints `kept`. The rest (readable names, removals) may fail, and is done by the next write.
 */
export const WRITE = `
umask 007
# For the acknowledgement: a shell whose stdout is still that of a command before would print it into a file of the state.
exec 7>&1
socket=$3
${MAKE}
${shortLock(SHORT_LIMIT)}
fail() { echo "$1" >&2; rm -rf "$in"; exit ${EXITS.failed}; }
flush() { sync "$@" 2>/dev/null || sync; }
# A sync that takes files reports write errors of these files, which a plain sync would hide.
files=; ! sync / 2>/dev/null || files=yes
flush_files() { if [ "$files" ]; then find "$@" -type f -exec sync {} +; else sync; fi; }
is() { sum=$(sha256sum <"$1") && [ "\${sum%% *}" = "$2" ]; }
make "$1" && cd "$1" && make locks || exit ${EXITS.failed}
short
[ -z "$2" ] || [ "$2" = "$(cat locks/token)" ] || exit ${EXITS.lost}
old=
[ ! -e head ] || old=$(cat head) || exit ${EXITS.failed}
[ -z "$6" ] || [ "$old" = "$5" ] || { echo "head $old"; exit ${EXITS.changed}; }
for one in .in-* content/.new-*; do [ ! -e "$one" ] || { chmod -R u+w "$one"; rm -rf "$one"; }; done
in=.in-$$
mkdir "$in" || exit ${EXITS.failed}
[ -z "$6" ] || mkdir "$in/blobs" || fail "cannot make a folder"
base64 -d | tar -xzopf - -C "$in" || fail "cannot unpack what was sent"
is "$in/sums" "$4" && (cd "$in" && sha256sum -c sums >/dev/null) || fail "what came is not what was sent"
[ "$(find "$in" -exec sh -c 'for one; do echo; done' sh {} + | wc -l)" -eq "$(cat "$in/count")" ] || fail "what came is not all that was sent"
while read -r name sum; do
  now=-; [ ! -e "locks/$name" ] || { now=$(sha256sum <"locks/$name") && now=\${now%% *}; }
  [ "$now" = "$sum" ] || { rm -rf "$in"; exit ${EXITS.changed}; }
done <"$in/holds" || fail "cannot read what was sent"
if [ -d "$in/content" ]; then
  make content || fail "cannot make content"
  flush_files "$in/content" || fail "cannot write content"
  while read -r name mode; do
    [ ! -e "content/$name" ] || continue
    { [ ! -d "$in/content/$name" ] || chmod u+w "$in/content/$name"; } && mv "$in/content/$name" "content/.new-$name" &&
      chmod "$mode" "content/.new-$name" && mv "content/.new-$name" "content/$name" || fail "cannot keep content"
  done <"$in/modes" || fail "cannot read what was sent"
  flush content
fi
if [ "$6" ]; then
  make objects || fail "cannot make objects"
  while read -r hash before; do
    cat "objects/$before" "$in/tails/$hash" >"$in/blobs/$hash" || fail "cannot add to a file"
  done <"$in/appends" || fail "cannot read what was sent"
  : >"$in/before" || fail "cannot write"
  [ -z "$old" ] || cat "objects/\${old%% *}" >"$in/before" || fail "cannot read the manifest"
  { if [ -s "$in/gone" ]; then grep -vxFf "$in/gone" "$in/before"; else cat "$in/before"; fi; cat "$in/added"; } |
    LC_ALL=C sort >"$in/manifest" || fail "cannot make the manifest"
  next=\${6%% *}
  mv "$in/manifest" "$in/blobs/$next" || fail "cannot make the manifest"
  chmod 660 "$in"/blobs/* || fail "cannot change modes"
  while read -r hash path; do
    [ -e "$in/blobs/$hash" ] || ln "$path" "$in/blobs/$hash" 2>/dev/null || cp "$path" "$in/blobs/$hash" || fail "cannot take over $path"
  done <"$in/links" || fail "cannot read what was sent"
  find "$in/blobs" -type f -exec sha256sum {} + >"$in/check" || fail "cannot read what was written"
  while read -r sum path; do [ "$sum" = "\${path##*/}" ] || fail "what was written is not what was sent"; done <"$in/check" || fail "cannot read what was written"
  [ "$(ls "$in/blobs" | wc -l)" -eq "$(wc -l <"$in/check")" ] || fail "what was written is not all that was sent"
  flush_files "$in/blobs" || fail "cannot write objects"
  # An object that an earlier write took over exists already: mv refuses two names of one file.
  for one in "$in"/blobs/*; do [ ! "$one" -ef "objects/\${one##*/}" ] || rm "$one" || fail "cannot keep objects"; done
  mv -f "$in"/blobs/* objects/ || fail "cannot keep objects"
  while read -r hash size path; do [ -e "objects/$hash" ] || fail "$path is missing"; done <"objects/$next" || fail "cannot read the manifest"
  flush objects
fi
for one in "$in"/locks/*; do
  [ -e "$one" ] || continue
  chmod 660 "$one" && flush_files "$one" && mv -f "$one" locks/ || fail "cannot write the description of a lock"
done
while read -r name; do rm -f "locks/$name" || fail "cannot remove the description of a lock"; done <"$in/unlocked" || fail "cannot read what was sent"
flush locks
if [ "$6" ]; then
  printf '%s\\n' "$6" >"$in/head" && [ "$(cat "$in/head")" = "$6" ] && chmod 660 "$in/head" || fail "cannot write head"
  flush_files "$in/head" || fail "cannot write head"
  mv -f "$in/head" head || fail "cannot write head"
  flush .
fi
echo kept >&7
[ "$6" ] || { rm -rf "$in"; exit 0; }
stale=
while read -r hash size path; do
  [ ! "$path" -ef "objects/$hash" ] || continue
  case $path in */*) make "\${path%/*}" 2>/dev/null ;; esac
  { ln "objects/$hash" "$in/view" 2>/dev/null || cp "objects/$hash" "$in/view"; } && mv -f "$in/view" "$path" || { rm -f "$in/view"; stale=yes; }
done <"objects/$next"
rm -f generation # of an earlier version
while read -r path; do rm -f "./$path"; done <"$in/removed"
# Remove what a write that died here has left: no list names it.
if cut -d ' ' -f 3- "objects/$next" >"$in/paths" && [ -s "$in/paths" ] && [ -d releases ]; then
  find releases ${READABLE} | grep -vxFf "$in/paths" | while read -r path; do rm -f "./$path"; done
  find releases -depth -type d -exec rmdir {} + 2>/dev/null
fi
while read -r path; do
  [ ! -d "$path" ] || chmod -R u+w "$path" 2>/dev/null
  rm -rf "./$path"
done <"$in/dropped"
# Each of these must succeed: what an incomplete list does not name would be removed.
if [ -z "$stale" ]; then
  ls objects >"$in/have" &&
    { cut -d ' ' -f 1 "objects/$next" "$in/before" && echo "$next" && echo "\${old%% *}"; } >"$in/need" &&
    grep -vxFf "$in/need" "$in/have" | sed 's,^,objects/,' | xargs rm -f
fi
rm -rf "$in"
exit 0
`
