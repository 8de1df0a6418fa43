/** What a path is meant to be, judging by its name. Pure. */
export type Looks = 'socket' | 'file' | 'folder'

/** Endings of files that are commonly mounted. `conf.d`, `v1.2` and the like are folders. */
const ENDINGS = new Set(
  (
    'yml yaml json json5 jsonc toml ini conf cnf cfg config properties env xml htm html css js mjs cjs ts jsx tsx py rb php lua pl ' +
    'sh bash sql txt md csv tsv pem crt cer key p12 pfx jks pub asc gpg htpasswd db sqlite sqlite3 log list rules tmpl tpl ' +
    'template j2 vcl hcl service zip gz tgz tar bz2 xz jar war png jpg jpeg svg ico pdf so mmdb ldif cron graphql wasm img iso'
  ).split(' '),
)

const NAMES = new Set(
  (
    'Caddyfile Corefile Dockerfile Makefile Procfile Gemfile crontab htpasswd known_hosts authorized_keys id_rsa id_ed25519 ' +
    'id_ecdsa .env .htpasswd .htaccess .npmrc .netrc .pgpass .gitconfig'
  ).split(' '),
)

const OF_THE_SYSTEM =
  /^\/etc\/(hosts|hostname|localtime|timezone|passwd|group|shadow|machine-id|os-release|mtab|fstab|environment)$/

/**
 * @returns what the missing source of a bind mount should be: an engine creates a folder for every missing source, which is
 * wrong for a file or socket.
 */
export function looksLike(source: string, target: string): Looks {
  const paths = [source, target]
  if (paths.some((path) => /\.(sock|socket)$/.test(path))) return 'socket'
  return paths.some(isFileName) ? 'file' : 'folder'
}

function isFileName(path: string): boolean {
  if (path.endsWith('/')) return false
  const name = path.slice(path.lastIndexOf('/') + 1)
  const ending = /[^.]\.([^.]+)$/.exec(name)?.[1]?.toLowerCase() ?? ''
  return NAMES.has(name) || /^\.env\./.test(name) || ENDINGS.has(ending) || OF_THE_SYSTEM.test(path)
}

/** @returns whether something probably renews the path while the release is live, so that a copy would become outdated. */
export function isRenewed(path: string): boolean {
  return path
    .split('/')
    .some((part) => /^(\.?certs?|certificates?|letsencrypt|acme(\.json)?|acme\.sh|ssl)$/i.test(part))
}
