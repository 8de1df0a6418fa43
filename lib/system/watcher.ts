/**
 * A shell in a child's process group. `$1` is how long the child may outlive Stagecraft, `$2` its grace from TERM to KILL
 * (both in seconds), `$3` the child's pid. Descriptor 4 is a pipe from Stagecraft: a line means that the child has ended, end
 * of file that Stagecraft has died. Descriptor 3 is the lock: the watcher holds it, the child and its children do not, so that
 * no daemon that a credential helper leaves behind keeps it.
 *
 * Once the child has ended, only docker's programs in its group (compose, buildx) count. The group is found in /proc by the
 * watcher's own entry, whose numbers may be those of another pid namespace; without /proc, by ps.
 */
export const WATCHER = `trap "" TERM
read -r line <&4 && exit
outlive=$1 grace=$2 child=$3
fields() { name=\${1#*"("} name=\${name%")"*} after=\${1##*") "}; set -- $after; state=$1 group=$3; }
me=
{ read -r line </proc/self/stat && me=\${line%% *} && fields "$line" && own=$group; } 2>/dev/null
counts() {
  case $state in Z*|X*) return 1 ;; esac
  case $name in docker-cred*) return 1 ;; docker*) return ;; esac
  return 1
}
orphans() {
  if [ "$me" ]; then
    for file in /proc/[0-9]*/stat; do
      read -r line <"$file" || continue
      [ "\${line%% *}" = "$me" ] || { fields "$line"; [ "$group" = "$own" ] && counts && return; }
    done 2>/dev/null
    return 1
  fi
  ps -A -o pgid= -o stat= -o comm= 2>/dev/null | {
    while read -r group state name; do name=\${name##*/}; [ "$group" = "$child" ] && counts && exit; done
    exit 1
  }
}
ended() {
  kill -0 "$child" 2>/dev/null || return 0
  [ "$me" = "$$" ] && { read -r line </proc/$child/stat; } 2>/dev/null && fields "$line" && [ "$state" = Z ]
}
works() { ! ended || orphans; }
lives() { i=0; while [ $i -lt $1 ]; do works || return 1; sleep 1; i=$((i + 1)); done; works; }
lives "$outlive" || exit
kill -TERM 0
lives "$grace"
kill -KILL 0`
