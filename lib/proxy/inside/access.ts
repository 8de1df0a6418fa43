import { PROXY_FOLDER } from './scripts.ts'

/**
 * Prints how far the access log of a project goes, as its inode and size, then lines of it and of what was rolled away, oldest
 * first. @param $1 the project @param $2 how many of the last ones, or `all` @param $3 $4 since and until when, in seconds, or
 * empty @param $5… names of Caddy's loggers
 */
export const ACCESS_LOG = `cd ${PROXY_FOLDER}/access 2>/dev/null || exit 0
p=$1 tail=$2 from=$3 until=$4; shift 4
end=$(stat -c '%i %s' "$p.access.log" 2>/dev/null) || exit 0
echo "$end"
{
  for old in "$p".access-*.log; do [ ! -e "$old" ] || cat "$old"; done
  head -c "\${end#* }" "$p.access.log"
} | awk -v from="$from" -v until="$until" -v wanted=" $* " '
{
  at = match($0, /"ts":[0-9.]+/) ? substr($0, RSTART + 5, RLENGTH - 5) + 0 : 0
  name = match($0, /"logger":"[^"]*"/) ? substr($0, RSTART + 10, RLENGTH - 11) : "-"
}
index(wanted, " " name " ") && (from == "" || at >= from + 0) && (until == "" || at <= until + 0)' |
  if [ "$tail" = all ]; then cat; else tail -n "$tail"; fi
`

/**
 * Waits for more of the access log of a project, for 20 s at most: the client may go away at any time, and this would stay. Prints
 * how far it goes now, then all lines since. @param $1 the project @param $2 $3 the inode and size that it had
 */
export const MORE_ACCESS = `cd ${PROXY_FOLDER}/access 2>/dev/null || { sleep 1; echo 0 0; exit; }
file=$1.access.log inode=$2 size=$3 left=100
while
  end=$(stat -c '%i %s' "$file" 2>/dev/null) || end="$inode $size"
  [ "$end" = "$inode $size" ] && [ $left -gt 0 ]
do sleep 0.2; left=$((left - 1)); done
echo "$end"
[ "$end" != "$inode $size" ] || exit 0
if [ "\${end% *}" != "$inode" ]; then
  for old in "$1".access-*.log; do
    [ "$(stat -c %i "$old" 2>/dev/null)" != "$inode" ] || tail -c "+$((size + 1))" "$old"
  done
  size=0
fi
head -c "\${end#* }" "$file" | tail -c "+$((size + 1))"
`
