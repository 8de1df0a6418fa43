/** The folder in the proxy's container that holds what Stagecraft keeps there. */
export const PROXY_FOLDER = '/config/stagecraft'

/**
 * Scripts that run inside the proxy's container, by `sh -c SCRIPT NAME ARGUMENT…`, with what busybox has.
 * `config/<n>/` holds a whole configuration; the greatest n is current; `loaded` means that Caddy has loaded it once. It appears
 * and disappears by one rename: what is there without its routes is none, and was left by an earlier version.
 * `live/<project>` is a link to a folder with a file `<service>.<slot>` for each live slot, so that one rename switches
 * all services of an environment at once.
 */

const NEWEST = `newest() { ls -d config/[0-9]*/routes.json 2>/dev/null | tr -dc '0-9\\n' | sort -n | tail -n 1; }`
const RELOAD = 'reload() { caddy reload --config "config/$1/caddy.json" --address 127.0.0.1:2019 $2; }'
/** Not what somebody else has just taken back. */
const LOADED =
  'loaded() { touch "config/$1/loaded" 2>/dev/null && { sync "config/$1/loaded" "config/$1" 2>/dev/null || sync; }; }'

/** Process 1. @param $0 the configuration of a proxy without routes */
export const START = `set -e
mkdir -p ${PROXY_FOLDER}/live ${PROXY_FOLDER}/maintenance ${PROXY_FOLDER}/config && cd ${PROXY_FOLDER}
rm -f changing closing
${NEWEST}
for one in config/[0-9]*; do [ -e "$one/routes.json" ] || rm -rf "$one"; done
if [ -z "$(newest)" ]; then
  mkdir -p config/.first && printf '%s\\n' "$0" >config/.first/caddy.json && echo '{}' >config/.first/routes.json
  : >config/.first/loaded; mv -T config/.first config/1
fi
# A configuration that was never loaded may be invalid: READ tries it.
n=$(ls -d config/[0-9]*/loaded | tr -dc '0-9\\n' | sort -n | tail -n 1)
exec caddy run --config "config/\${n:-$(newest)}/caddy.json"
`

/** Exits 0 if the image is a Caddy that can load the newest configuration. */
export const CHECK = `cd ${PROXY_FOLDER} || exit
${NEWEST}
exec caddy validate --config "config/$(newest)/caddy.json"
`

/** Prints a line for each module of this Caddy. */
export const LIST_MODULES = 'exec caddy list-modules'

/**
 * Prints the number of the configuration and which Stagecraft wrote it, its routes on one line, a line `<project>/<service>.<slot>` for each live
 * slot, a line `<project>.html` for each project under maintenance, and a line `<SHA-256>  <project>/<file>` for each
 * certificate and error page that an operator has given.
 */
export const READ = `set -e
cd ${PROXY_FOLDER}
${NEWEST}
${RELOAD}
${LOADED}
# Another run may take its configuration back while it is read.
tries=20
until
  n=$(newest)
  # The run that wrote it may have been killed before it loaded it.
  [ -e "config/$n/loaded" ] || { reload "$n" 2>/dev/null && loaded "$n"; } || :
  routes=$(cat "config/$n/routes.json" 2>/dev/null)
do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || { echo "there is no configuration in $PWD/config" >&2; exit 1; }
  sleep 0.1
done
echo $n $(cat "config/$n/version" 2>/dev/null); printf '%s\\n' "$routes"
# Who wrote it may have been killed: it has the second until when it counts.
for file in changing closing; do [ ! -e $file ] || [ "$(cat $file)" -ge "$(date +%s)" ] || rm -f $file; done
cd live; for file in */*.[ab]; do [ ! -e "$file" ] || echo "$file"; done
cd ../maintenance; for file in *.html; do [ ! -e "$file" ] || echo "$file"; done
cd ..; for folder in keys pages; do
  [ ! -e $folder ] || ( cd $folder; for file in */*.pem */*.html; do [ ! -e "$file" ] || sha256sum "$file"; done )
done
`

/** Exit code of scripts: Caddy refuses a configuration. */
export const REFUSED = 65

/** Exits 65 if Caddy refuses the configuration on stdin, and changes nothing. */
export const VALIDATE = `t=/tmp/validate-$$; cat >"$t"
caddy validate --config "$t" >"$t.said" 2>&1; code=$?
[ $code = 0 ] || grep -v '"level":"\\(info\\|warn\\)"' "$t.said" >&2
rm -f "$t" "$t.said"; [ $code = 0 ] || exit ${REFUSED}
`

/**
 * Applies a configuration: stdin has the routes and Caddy's configuration, a line each. Exits 75 if somebody else has
 * written that number first, 65 if Caddy refuses it and keeps the old one. @param $1 its number @param $2 which Stagecraft
 * writes it
 */
export const APPLY = `set -e
cd ${PROXY_FOLDER}
${NEWEST}
${RELOAD}
${LOADED}
mkdir -p access
t=config/.new-$1-$$; rm -rf "$t"; mkdir "$t"
IFS= read -r routes; printf '%s\\n' "$routes" >"$t/routes.json"
cat >"$t/caddy.json"; echo "$2" >"$t/version"
caddy validate --config "$t/caddy.json" >"$t/said" 2>&1 || { grep -v '"level":"info"' "$t/said" >&2 || :; rm -rf "$t"; exit 65; }
rm "$t/said"; sync "$t/routes.json" "$t/caddy.json" 2>/dev/null || sync
[ -e "config/$1/routes.json" ] || { rm -f "config/$1/loaded"; rmdir "config/$1"; } 2>/dev/null || :
mv -T "$t" "config/$1" 2>/dev/null || { rm -rf "$t"; exit 75; }
sync config 2>/dev/null || sync
# Caddy closes connections that are kept open, maybe with a request on its way: they are closed with their answers before.
trap 'rm -f closing' EXIT
echo $(($(date +%s) + 60)) >".closing.$$" && mv ".closing.$$" closing && sleep 1
# Caddy may be busy with the same one (READ), or with another run's, which that run takes back if it is refused.
own=3 others=50
until
  n=$(newest) is=
  if reload "$n" >/tmp/said-$$ 2>&1; then loaded "$n" || :; is=loaded
  elif [ "$n" = "$1" ]; then own=$((own - 1))
  else others=$((others - 1)); fi
  [ $own -gt 0 ] && [ $others -gt 0 ] || {
    [ "$n" != "$1" ] || mv -T "config/$1" "$t" && rm -rf "$t"
    grep -v '"level":"info"' /tmp/said-$$ >&2 || :
    exit 65
  }
  [ "$is" ] || sleep 0.2
  [ "$is" ] && [ "$n" = "$(newest)" ]
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

/**
 * Writes stdin to a file of the project that only root can read, unless that is in it.
 * @param $1 `keys` or `pages`, a slash, and the project @param $2 the file's name @param $3 `always`, `unless-there`, or
 * `reload`: Caddy, which has read the one that was there, and reads it again only if forced, does so; `.<file>.due` says that
 * it has not yet
 */
export const KEEP = `set -e; umask 077
${NEWEST}
${RELOAD}
mkdir -p "${PROXY_FOLDER}/$1"; cd "${PROXY_FOLDER}/$1"
[ "$3" != unless-there ] || [ ! -e "$2" ] || exit 0
[ "$3" = reload ] && [ -e "$2" ] && was=there || was=
cat >".$2.$$"
if cmp -s ".$2.$$" "$2"; then rm ".$2.$$"; [ -e ".$2.due" ] || exit 0
else
  [ -z "$was" ] || : >".$2.due"
  sync ".$2.$$" 2>/dev/null || sync; mv ".$2.$$" "$2"
fi
[ -z "$was" ] || { ( cd ${PROXY_FOLDER}; reload "$(newest)" --force 2>/dev/null ); rm -f ".$2.due"; }
`

/** Makes no slot of the project live, and forgets its keys, error pages, access log and assets. @param $1 the project */
export const FORGET = `cd ${PROXY_FOLDER}/live && rm -rf "$1" ".$1".* "../keys/$1" "../pages/$1" "../access/$1".access.log "../access/$1".access-*.log \\
  ../assets/*/"$1" ../assets/now/".$1".*`

/** Answers the project's public routes with the page on stdin. @param $1 the project */
export const MAINTENANCE_ON = `cd ${PROXY_FOLDER}/maintenance && cat >".$1.new" && mv ".$1.new" "$1.html" && sync`
export const MAINTENANCE_OFF = `rm -f "${PROXY_FOLDER}/maintenance/$1.html" && sync`
