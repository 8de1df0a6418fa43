import { PROXY_FOLDER } from './scripts.ts'

/**
 * `sets/<project>/<set>/` has what one image has in the folder of its assets, below the path that they are asked for; it appears by
 * one rename. `now/<project>` is a link to a folder with a link `<service>.<n>` to a set for each, the newest as 0, so that
 * one rename changes all that answer.
 */
export const ASSETS_FOLDER = `${PROXY_FOLDER}/assets`

/** Of a service, those that answer: Caddy looks through as many. */
export const MOST_SETS = 10

/** Of one folder. */
export const MOST_KIB = 256 * 1024
export const MOST_FILES = 20_000

/** Exit codes of `STORE`. */
export const [NO_ASSETS, TOO_MANY] = [66, 67]

/**
 * In a container of its own, in which /from is what the image has: makes a set of its regular files. One without files is made too if
 * that will not change; it exits 66 if the image has none, 67 if there is too much.
 * @param $1 the project @param $2 the set @param $3 the path that they are asked for, without / at its end
 * @param $4 most KiB @param $5 most files and folders
 */
export const STORE = `set -e; umask 022
mkdir -p "${ASSETS_FOLDER}/sets/$1"; cd "${ASSETS_FOLDER}/sets/$1"
new=$PWD/.new; trap 'rm -rf "$new"' EXIT
rm -rf "$new"; mkdir -p "$new$3"
if [ $(find /from | head -n $(($5 + 1)) | wc -l) -gt "$5" ] || [ $(du -sk /from | cut -f 1) -gt "$4" ]
then is=${TOO_MANY}
else
  cp -dR /from/. "$new$3/"
  cd "$new$3"
  find . ! -type d ! -type f -exec rm -f {} +
  find . -name '.?*' -prune -exec rm -rf {} +
  chmod -R u+rwX,go+rX .
  [ "$(find . -type f | head -n 1)" ] && is=0 || is=${NO_ASSETS}
fi
sync -f "$new" 2>/dev/null || sync
mv -T "$new" "${ASSETS_FOLDER}/sets/$1/$2"
exit $is
`

/**
 * Makes exactly these sets answer, and removes others. Prints those that are not there: they answer from when they are.
 * @param $1 the project, then `<service>.<n>=<set>` …
 */
export const LINK = `set -e
mkdir -p ${ASSETS_FOLDER}/now "${ASSETS_FOLDER}/sets/$1"; cd ${ASSETS_FOLDER}
p=$1; shift
if [ $# = 0 ]; then rm -rf "now/$p" "now/.$p".* "sets/$p"; exit; fi
wanted=' '; for one; do wanted="$wanted\${one#*=} "; done
if [ "$*" != "$(cat "now/$p/.list" 2>/dev/null)" ]; then
  new=.$p.$(date +%s).$$; mkdir "now/$new"
  for one; do ln -s "../../sets/$p/\${one#*=}" "now/$new/\${one%%=*}"; done
  printf '%s\\n' "$*" >"now/$new/.list"; sync "now/$new/.list" "now/$new" 2>/dev/null || sync
  ln -s "$new" "now/$new.link"; mv -T "now/$new.link" "now/$p"
  sync now 2>/dev/null || sync
  for old in "now/.$p".*; do [ "$old" = "now/$new" ] || rm -rf "$old"; done
fi
for one in "sets/$p"/* "sets/$p/.new"; do
  case $wanted in *" \${one##*/} "*) ;; *) rm -rf "$one" ;; esac
done
for one; do [ -e "sets/$p/\${one#*=}" ] || echo "\${one#*=}"; done
`
