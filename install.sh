#!/bin/sh
# Installs Stagecraft, which is one file, in a folder of this machine or of a server (spec/core/distribution.md).
#
#   sh install.sh [--from URL|FOLDER] [--into FOLDER] [--to USER@HOST] [--version VERSION]
#                 [--key KEY] [--require-signature] [--force]
#
# Needs a POSIX sh; curl or wget; sha256sum, shasum or openssl; minisign or openssl 3 for the signature.
# Everything is in functions, and the last line calls them: a script that was cut off does nothing.
set -eu

# The public key of releases (minisign), and where they are published. `npm run release` writes both.
KEY=''
RELEASES=''

main() {
  key=$KEY from=${STAGECRAFT_RELEASES:-$RELEASES} into='' to='' only='' required='' force=''
  while [ $# -gt 0 ]; do
    case $1 in
      --from | --into | --to | --version | --key)
        [ $# -gt 1 ] && [ -n "$2" ] || fail "$1 needs a value" 2
        case $1 in
          --from) from=$2 ;; --into) into=$2 ;; --to) to=$2 ;; --version) only=$2 ;; --key) key=$2 ;;
        esac
        shift 2
        ;;
      --require-signature) required=yes && shift ;;
      --force) force=yes && shift ;;
      -h | --help) usage && exit 0 ;;
      *) usage >&2 && exit 2 ;;
    esac
  done
  [ -n "$from" ] || fail 'where releases are published is not known: add --from URL' 2
  case $to in -*) fail "$to is no host" 2 ;; esac
  case $from in http://* | https://*) from=${from%/} ;; *) [ -d "$from" ] || fail "there is no folder $from" 2 ;; esac
  has awk || fail 'awk is missing'

  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM

  look
  fetch SHA256SUMS
  verify_signature
  fetch VERSION
  verify VERSION
  version=$(cat "$tmp/VERSION")
  case $version in [0-9]*.[0-9]*.[0-9]*) ;; *) fail 'VERSION is no version' ;; esac
  case $version in *[!0-9A-Za-z.-]*) fail 'VERSION is no version' ;; esac
  [ "${only:-$version}" = "$version" ] || fail "version $version is published there, and not $only"
  if [ -z "$force" ] && [ -n "$installed" ] && is_older "$version" "$installed"; then
    fail "$folder/stagecraft is $installed, which is newer than $version: --force replaces it"
  fi
  fetch_binary
  # shellcheck disable=SC2154 # `sum` is set by sum_of
  sum_of "stagecraft-$target"
  there "$PLACE" "$folder" "$sum" "$version" <"$tmp/stagecraft-$target"
  say "stagecraft $version is installed${to:+ on $to}: $folder/stagecraft"
  [ -n "$to" ] || case :$PATH: in *":$folder:"*) ;; *) say "$folder is not in your PATH" ;; esac
}

usage() {
  echo 'usage: sh install.sh [--from URL|FOLDER] [--into FOLDER] [--to USER@HOST] [--version VERSION]'
  echo '                     [--key KEY] [--require-signature] [--force]'
}

say() { printf '%s\n' "$1" >&2; }
fail() { say "stagecraft: $1" && exit "${2:-1}"; }
has() { command -v "$1" >/dev/null 2>&1; }

# Prints system, CPU, C library, folder, and what is installed there. $1: the folder, or nothing.
LOOK='set -u
os=$(uname -s) cpu=$(uname -m) libc=glibc d=$1
[ -n "$d" ] || if [ "$(id -u)" = 0 ]; then d=/usr/local/bin; else d=$HOME/.local/bin; fi
case $d in /*) ;; *) d=$(pwd)/$d ;; esac
if [ "$os" = Darwin ] && [ "$(sysctl -n sysctl.proc_translated 2>/dev/null)" = 1 ]; then cpu=arm64; fi
case $(ldd --version 2>&1) in
  *musl*) libc=musl ;;
  *GLIBC* | *glibc* | *GNU*) ;;
  *) [ -e /lib64/ld-linux-x86-64.so.2 ] || [ -e /lib/ld-linux-aarch64.so.1 ] || [ -z "$(ls /lib/ld-musl-* 2>/dev/null)" ] || libc=musl ;;
esac
printf "%s\n" "$os" "$cpu" "$libc" "$d"
if [ -x "$d/stagecraft" ]; then "$d/stagecraft" --version 2>/dev/null; fi
:'

# Puts stdin into place, whole or not at all. $1: folder, $2: checksum, $3: version.
PLACE='set -eu
umask 022
d=$1 old=
stop() { echo "stagecraft: $1" >&2; exit 1; }
if [ -d "$d/stagecraft" ]; then stop "$d/stagecraft is a folder"; fi
mkdir -p "$d" && t=$(mktemp -d "$d/.stagecraft.XXXXXX") || stop "cannot write in $d: name another folder by --into"
trap "rm -rf \"\$t\"" EXIT
trap "exit 129" HUP
trap "exit 130" INT
trap "exit 143" TERM
cat >"$t/stagecraft" || stop "cannot write in $d"
have=$({ sha256sum "$t/stagecraft" || shasum -a 256 "$t/stagecraft" || openssl dgst -r -sha256 "$t/stagecraft"; } 2>/dev/null) || :
[ "${have%% *}" = "$2" ] || stop "what arrived in $d is damaged"
chmod 755 "$t/stagecraft"
runs=$("$t/stagecraft" --version) || stop "the binary does not run there"
case $runs in "stagecraft $3 "*) ;; *) stop "the binary is not version $3" ;; esac
if [ -e "$d/stagecraft" ]; then ln -f "$d/stagecraft" "$d/stagecraft.old" 2>/dev/null || cp -p "$d/stagecraft" "$d/stagecraft.old"; fi
mv -f "$t/stagecraft" "$d/stagecraft"'

# Runs a script with arguments here, or on the host.
there() {
  script=$1
  shift
  if [ -z "$to" ]; then
    sh -c "$script" sh "$@"
  else
    line="sh -c $(quoted "$script") sh"
    for argument; do line="$line $(quoted "$argument")"; done
    ssh "$to" "$line"
  fi
}

quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# Sets target, folder and installed.
look() {
  there "$LOOK" "$into" </dev/null >"$tmp/look" || fail "cannot look at ${to:-this machine}"
  line() { sed -n "$1p" "$tmp/look"; }
  case $(line 1) in Linux) os=linux ;; Darwin) os=darwin ;; *) fail 'there are binaries for Linux and macOS only' ;; esac
  case $(line 2) in
    x86_64 | amd64) cpu=x64 ;;
    aarch64 | arm64) cpu=arm64 ;;
    *) fail 'there are binaries for x86-64 and arm64 only' ;;
  esac
  target=$os-$cpu
  if [ "$os" = linux ] && [ "$(line 3)" = musl ]; then target=$target-musl; fi
  folder=$(line 4)
  installed=$(line 5 | sed -n 's/^stagecraft \([0-9A-Za-z.-]*\) .*/\1/p')
}

# Copies a file of the release to $tmp.
fetch() {
  case $from in
    http*)
      if has curl; then
        case $from in https:*) proto='=https' ;; *) proto='=http,https' ;; esac
        curl -fsSL --proto "$proto" --connect-timeout 30 -o "$tmp/$1" "$from/$1" || not_fetched "$1"
      elif has wget; then
        # busybox has no --tries, and does not try again.
        tries=
        if wget --help 2>&1 | grep -q -e '--tries'; then tries='--tries=2 --timeout=60'; fi
        # shellcheck disable=SC2086 # two options
        wget -q $tries -O "$tmp/$1" "$from/$1" || not_fetched "$1"
      else
        fail 'curl or wget is needed'
      fi
      ;;
    *) cp "$from/$1" "$tmp/$1" || not_fetched "$1" ;;
  esac
}

not_fetched() { fail "cannot get $1 from $(printf '%s' "$from" | sed 's#//[^/@]*@#//#')"; }

# Sets sum to the checksum that a file must have.
sum_of() {
  sum=$(awk -v name="$1" '$2 == name { print $1 }' "$tmp/SHA256SUMS")
  [ "${#sum}" = 64 ] || fail "SHA256SUMS does not name $1"
}

verify() {
  sum_of "$1"
  if has sha256sum; then have=$(sha256sum "$tmp/$1"); elif has shasum; then have=$(shasum -a 256 "$tmp/$1"); else
    have=$(openssl dgst -r -sha256 "$tmp/$1") || fail 'sha256sum, shasum or openssl is needed'
  fi
  [ "${have%% *}" = "$sum" ] || fail "$1 has another checksum than SHA256SUMS says: it is damaged, or not the release's"
}

verify_signature() {
  by=
  if [ -n "$key" ]; then
    fetch SHA256SUMS.minisig
    bad='the signature of SHA256SUMS is wrong: this is not a release made with the key'
    if has minisign; then
      minisign -V -q -P "$key" -x "$tmp/SHA256SUMS.minisig" -m "$tmp/SHA256SUMS" >&2 || fail "$bad"
      by=minisign
    elif has openssl && openssl pkeyutl -help 2>&1 | grep -q -e -rawin; then
      # The last 32 bytes are the key, and the last 64 of the second line the signature.
      printf '\060\052\060\005\006\003\053\145\160\003\041\000' >"$tmp/key"
      printf '%s\n' "$key" | openssl base64 -d -A | tail -c 32 >>"$tmp/key"
      sed -n 2p "$tmp/SHA256SUMS.minisig" | openssl base64 -d -A | tail -c 64 >"$tmp/signature"
      openssl pkeyutl -verify -pubin -keyform DER -inkey "$tmp/key" -rawin -in "$tmp/SHA256SUMS" \
        -sigfile "$tmp/signature" >/dev/null 2>&1 || fail "$bad"
      by=openssl
    else
      why='minisign or openssl 3 is needed for the signature'
    fi
  else
    why='no key of releases is known (--key)'
  fi
  if [ -n "$by" ]; then
    say "signature verified by $by"
  elif [ -n "$required" ]; then
    fail "cannot verify the signature: $why"
  else
    case $from in http*) way="over ${from%%:*}" ;; *) way='from a folder' ;; esac
    say "only the checksum is verified, $way: $why"
  fi
}

# Leaves the binary in $tmp.
fetch_binary() {
  name=stagecraft-$target
  if has gzip; then
    fetch "$name.gz"
    verify "$name.gz"
    gzip -dc "$tmp/$name.gz" >"$tmp/$name" || fail "cannot unpack $name.gz"
  else
    fetch "$name"
  fi
  verify "$name"
}

# Whether version $1 is older than $2. Pre-releases of one version are compared as text.
is_older() {
  awk -v a="$1" -v b="$2" 'BEGIN {
    split(a, x, "[.-]"); split(b, y, "[.-]")
    for (i = 1; i <= 3; i++) if (x[i] + 0 != y[i] + 0) exit !(x[i] + 0 < y[i] + 0)
    p = a; q = b
    if (!sub(/^[^-]*-/, "", p)) p = ""
    if (!sub(/^[^-]*-/, "", q)) q = ""
    exit !(p != "" && (q == "" || p < q))
  }'
}

main "$@"
