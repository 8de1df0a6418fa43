import { PROXY_FOLDER } from './caddy-config.ts'

/**
 * What is run inside the proxy's container, by `sh -c SCRIPT NAME ARGUMENT…`. busybox has everything that they use.
 * `config/<n>/` holds a whole configuration; the greatest n counts; `loaded` in it says that Caddy has taken it once. `live/<project>` is a link to a folder with a file
 * `<service>.<slot>` for each live slot, so that one rename switches all services of an environment at once.
 */

const NEWEST = 'newest() { ls config | grep -x "[0-9]*" | sort -n | tail -n 1; }'

/** Process 1. @param $0 the configuration of a proxy without routes */
export const START = `set -e
mkdir -p ${PROXY_FOLDER}/live ${PROXY_FOLDER}/maintenance ${PROXY_FOLDER}/config && cd ${PROXY_FOLDER}
${NEWEST}
if [ -z "$(newest)" ]; then
  mkdir -p config/.first && printf '%s\\n' "$0" >config/.first/caddy.json && echo '{}' >config/.first/routes.json
  : >config/.first/loaded; mv -T config/.first config/1
fi
# One that was never loaded may be one that cannot be: READ tries it.
n=$(ls -d config/[0-9]*/loaded | tr -dc '0-9\\n' | sort -n | tail -n 1)
exec caddy run --config "config/\${n:-$(newest)}/caddy.json"
`

/** Whether an image is a Caddy that understands the newest configuration. */
export const CHECK = `cd ${PROXY_FOLDER} || exit
${NEWEST}
exec caddy validate --config "config/$(newest)/caddy.json"
`

/**
 * Prints the number of the configuration, its routes on one line, then a line for each live slot: `<project>/<service>.<slot>`,
 * and one for each project that is under maintenance: `<project>.html`.
 */
export const READ = `set -e
cd ${PROXY_FOLDER}
${NEWEST}
n=$(newest)
# Who was to load it was killed before that.
[ -e "config/$n/loaded" ] || { caddy reload --config "config/$n/caddy.json" --address 127.0.0.1:2019 2>/dev/null && : >"config/$n/loaded"; } || :
echo "$n"; cat "config/$n/routes.json"
cd live; for file in */*.[ab]; do [ ! -e "$file" ] || echo "$file"; done
cd ../maintenance; for file in *.html; do [ ! -e "$file" ] || echo "$file"; done
`

/**
 * Puts a configuration in force: stdin has the routes, then Caddy's configuration, a line each.
 * @param $1 its number: 75 if there is one already, as somebody else was faster. 65: Caddy refuses it, and goes on as before
 */
export const APPLY = `set -e
cd ${PROXY_FOLDER}
${NEWEST}
t=config/.new-$1-$$; rm -rf "$t"; mkdir "$t"
IFS= read -r routes; printf '%s\\n' "$routes" >"$t/routes.json"
cat >"$t/caddy.json"
caddy validate --config "$t/caddy.json" >"$t/said" 2>&1 || { grep -v '"level":"info"' "$t/said" >&2 || :; rm -rf "$t"; exit 65; }
rm "$t/said"; sync "$t/routes.json" "$t/caddy.json" 2>/dev/null || sync
mv -T "$t" "config/$1" 2>/dev/null || { rm -rf "$t"; exit 75; }
sync config 2>/dev/null || sync
until
  n=$(newest)
  caddy reload --config "config/$n/caddy.json" --address 127.0.0.1:2019 >/tmp/said-$$ 2>&1 ||
    { rm -rf "config/$1"; grep -v '"level":"info"' /tmp/said-$$ >&2 || :; exit 65; }
  : >"config/$n/loaded"; sync "config/$n/loaded" "config/$n" 2>/dev/null || sync
  [ "$n" = "$(newest)" ]
do :; done
for old in $(ls config | grep -x '[0-9]*'); do [ "$old" -ge $(($1 - 3)) ] || rm -rf "config/$old"; done
`

/** Makes exactly these slots live. @param $1 the project, then `<service>.<slot>` … */
export const SWITCH = `set -e
cd ${PROXY_FOLDER}/live
p=$1; shift
set=.$p.$(date +%s).$$; mkdir "$set"
for file; do : >"$set/$file"; done
sync "$set" 2>/dev/null || sync
ln -s "$set" "$set.link"; mv -T "$set.link" "$p"
sync . 2>/dev/null || sync
for old in ".$p".*; do [ "$old" = "$set" ] || rm -rf "$old"; done
`

/** @param $1 the project: nothing of it is live any more */
export const FORGET = `cd ${PROXY_FOLDER}/live && rm -rf "$1" ".$1".*`

/** Shows a page, on stdin, instead of the project's routes. @param $1 the project */
export const MAINTENANCE_ON = `cd ${PROXY_FOLDER}/maintenance && cat >".$1.new" && mv ".$1.new" "$1.html" && sync`
export const MAINTENANCE_OFF = `rm -f "${PROXY_FOLDER}/maintenance/$1.html" && sync`

/** Prints JSON: `[{"address":"…","num_requests":0,…}]`. */
export const IN_FLIGHT = 'exec timeout 5 wget -q -O - http://127.0.0.1:2019/reverse_proxy/upstreams'

/**
 * Waits until Caddy has counted no request to any of these upstreams twice in a row. @param $1 seconds at the most, then their
 * addresses. Prints what `IN_FLIGHT` does, as it was last
 */
export const DRAINED = `end=$(($(date +%s) + $1)); shift; quiet=0
while
  said=$(timeout 5 wget -q -O - http://127.0.0.1:2019/reverse_proxy/upstreams) || exit
  open=0
  for address; do
    case $said in
    *'"address":"'"$address"'","num_requests":0,'*) ;;
    *'"address":"'"$address"'"'*) open=1 ;;
    esac
  done
  [ $open = 0 ] && quiet=$((quiet + 1)) || quiet=0
  [ $quiet -lt 2 ] && [ "$(date +%s)" -lt $end ]
do sleep 0.1; done
printf '%s\\n' "$said"
`

/**
 * Asks a container as the proxy would, until it answers 2xx. @param $1 seconds at the most @param $2 `http://<address>:<port>/path`
 * @param $3 the Host header @param $4 X-Forwarded-Proto. Says the first status line, or what was wrong last: wget follows
 * redirects, which would ask somebody else
 */
export const PROBE = `end=$(($(date +%s) + $1))
while
  said=$(timeout 5 wget -S -O /dev/null --header "Host: $3" --header "X-Forwarded-Proto: $4" "$2" 2>&1)
  status=$(printf '%s\\n' "$said" | grep -o 'HTTP/[0-9.]* [0-9].*' | head -n 1)
  case $status in *' '2??*) exit 0 ;; esac
  [ "$(date +%s)" -lt $end ]
do sleep 0.2; done
printf '%s\\n' "\${status:-$(printf '%s\\n' "$said" | tail -n 1)}" >&2; exit 1
`

/**
 * Asks what is live as the proxy would, all at once, each until it says something, whatever that is. @param $1 seconds at the most,
 * then for each `http://<alias of its slot>:<port>/path`, the Host header, X-Forwarded-Proto. Prints a line for each that does not
 * answer: its number from 0, and what was wrong last
 */
export const ASK = `end=$(($(date +%s) + $1)); shift
ask() {
  while
    said=$(timeout 5 wget -S -O /dev/null --header "Host: $3" --header "X-Forwarded-Proto: $4" "$2" 2>&1)
    case $said in *HTTP/[0-9]*) return ;; esac
    [ "$(date +%s)" -lt $end ]
  do sleep 0.2; done
  printf '%s %s\\n' "$1" "$(printf '%s\\n' "$said" | tail -n 1)"
}
at=0
while [ $# -gt 2 ]; do ask $at "$1" "$2" "$3" & at=$((at + 1)); shift 3; done
wait
`
