import { PROXY_FOLDER } from './scripts.ts'

/** Scripts that run inside the proxy's container like those of scripts.ts, and change nothing: they ask Caddy, and containers. */

/**
 * Runs a program for at most 5 s, and waits for it. busybox's `timeout` leaves a process behind that nobody waits for: Caddy is
 * process 1 and reaps none, so that each question added a zombie. Not every busybox's wget has a limit of its own. Most answers
 * take a few milliseconds: the first looks are 10 ms apart.
 */
const BOUNDED = `bounded() {
  "$@" & one=$! left=110
  while kill -0 $one 2>/dev/null && [ $left -gt 0 ]; do
    [ $left -gt 100 ] && sleep 0.01 || sleep 0.05; left=$((left - 1))
  done
  kill $one 2>/dev/null
  { wait $one; } 2>/dev/null
}
`

/** Prints JSON: `[{"address":"…","num_requests":0,…}]`. */
export const IN_FLIGHT = `${BOUNDED}bounded wget -q -O - http://127.0.0.1:2019/reverse_proxy/upstreams`

/**
 * Waits until Caddy has twice in a row counted no request to any of these upstreams, nor to one whose address is a number before
 * one of these. Prints the last count as `IN_FLIGHT` does. @param $1 most seconds to wait, then the addresses
 */
export const DRAINED = `${BOUNDED}end=$(($(date +%s) + $1)); shift; quiet=0
while
  said=$(bounded wget -q -O - http://127.0.0.1:2019/reverse_proxy/upstreams) || exit
  open=0
  for address; do
    case $said in
    *'"'"$address"'","num_requests":'[1-9]*) open=1 ;;
    *'"'[1-9]*."$address"'","num_requests":'[1-9]*) open=1 ;;
    esac
  done
  [ $open = 0 ] && quiet=$((quiet + 1)) || quiet=0
  [ $quiet -lt 2 ] && [ "$(date +%s)" -lt $end ]
do [ $quiet = 1 ] && sleep 0.05 || sleep 0.1; done
printf '%s\\n' "$said"
`

/** What the scripts say of a container that is to speak HTTP/2 and does not. */
export const NO_H2C = 'it speaks no h2c'

/** How a connection begins that speaks HTTP/2 (RFC 9113, 3.4): the same each time, and SETTINGS without any. */
const PREFACE = String.raw`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0`

/**
 * Sends a request as the proxy would, and prints what wget says of the answer. wget speaks no HTTP/2, which begins with a SETTINGS
 * frame of the server: for `h2c://<address>:<port>` that frame is the answer.
 */
const REQUEST = `${BOUNDED}request() {
  case $1 in h2c://*) ;; *)
    bounded wget -S -O /dev/null --header "Host: $2" --header "X-Forwarded-Proto: $3" "$1" 2>&1
    return ;;
  esac
  to=\${1#h2c://}
  # nc becomes the shell, and the shell head: one process, whose first four bytes are a length and a type.
  first=$({ bounded nc "\${to%:*}" "\${to##*:}" -e sh -c 'printf "${PREFACE}"; exec head -c 4 >&3' 3>&1 2>&4 |
    od -An -tx1; } 4>&1)
  case $first in
  ' '??' '??' '??' 04'*) echo 'HTTP/2 200' ;;
  *nc:*) printf '%s\\n' "$first" ;;
  *) echo '${NO_H2C}' ;;
  esac
}
`

/**
 * Sends a container requests as the proxy would, until it answers 2xx. Prints the first status line of the last answer
 * (wget follows redirects, maybe to another server), or the last error. @param $1 most seconds to wait
 * @param $2 `http://<address>:<port>/path`, or `h2c://<address>:<port>` @param $3 the Host header @param $4 X-Forwarded-Proto
 */
export const PROBE = `${REQUEST}end=$(($(date +%s) + $1))
while
  said=$(request "$2" "$3" "$4")
  status=$(printf '%s\\n' "$said" | grep -o 'HTTP/[0-9.]* [0-9].*' | head -n 1)
  case $status in *' '2??*) exit 0 ;; esac
  [ "$(date +%s)" -lt $end ]
do sleep 0.2; done
printf '%s\\n' "\${status:-$(printf '%s\\n' "$said" | tail -n 1)}" >&2; exit 1
`

/**
 * Sends requests to live slots as the proxy would, to all at once, each until any answer. Prints a line for each that
 * does not answer: its number from 0, and the last error. @param $1 most seconds to wait, then for each
 * `http://<alias of its slot>:<port>/path` or `h2c://…`, the Host header, X-Forwarded-Proto
 */
export const ASK = `${REQUEST}end=$(($(date +%s) + $1)); shift
ask() {
  while
    said=$(request "$2" "$3" "$4")
    case $said in *HTTP/[0-9]*) return ;; esac
    [ "$(date +%s)" -lt $end ]
  do sleep 0.2; done
  printf '%s %s\\n' "$1" "$(printf '%s\\n' "$said" | tail -n 1)"
}
at=0
while [ $# -gt 2 ]; do ask $at "$1" "$2" "$3" & at=$((at + 1)); shift 3; done
wait
`

/**
 * Prints for each host name the certificates that Caddy has of it: a line `certificate <CA> <name>`, and the PEM; for each name that
 * a service is asked about a line `asked <name> <status line>`; then what Caddy has logged about certificates.
 * @param $@ names as Caddy stores them, or `<project>/<service>`, or `ask:<URL>`
 */
export const CERTIFICATES = `${BOUNDED}show() { [ ! -e "$3" ] || { echo "certificate $1 $2"; sed '/END CERTIFICATE/q' "$3"; }; }
for name; do
  case $name in
  ask:*) said=$(bounded wget -S -O /dev/null "\${name#ask:}" 2>&1)
    echo "asked \${name##*=} $(printf '%s\\n' "$said" | grep -o 'HTTP/[0-9.]* [0-9].*' | head -n 1)" ;;
  */*) show own "$name" "${PROXY_FOLDER}/keys/$name.pem" ;;
  *) for folder in "\${XDG_DATA_HOME:-/data}"/caddy/certificates/*/"$name"; do
      ca=\${folder%/*}; show "\${ca##*/}" "$name" "$folder/$name.crt"
    done ;;
  esac
done
cd ${PROXY_FOLDER} && [ -e certificates.log ] && grep -e '"identifier"' certificates.log | tail -n 500 || :
`
