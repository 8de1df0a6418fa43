import type { ComposeModel, Service } from '../compose/model.ts'
import { hookEntries } from '../compose/released/hooks.ts'
import { isWordy, looksRandom } from './forms.ts'

/** A word that makes a variable's name a secret one (spec/core/secrets.md). */
const TELLING =
  /^(pw|passwort|secret|secrets|token|tokens|key|keys|creds|dsn|privatekey|apikey|accesskey|secretkey|signingkey|masterkey|authkey|requirepass)$/

/** The same, with a prefix. */
const TELLING_ENDS = /(password|passwd|passphrase|secret|credential)s?$/

/** The same, only as the last word: `AUTH_MODE` is not secret. */
const TELLING_LAST = /^(pass|pwd|auth|cookie|salt|pepper|jwt|hmac|webhook)$/

/** A last word that names a property of a secret, which is not secret itself. */
const ABOUT =
  /^(file|files|path|dir|directory|name|names|ttl|expiry|expires|expiration|lifetime|timeout|interval|length|size|min|max|count|rounds|enabled|disabled|required|type|mode|method|algorithm|alg|host|hostname|port|user|username|domain|version|prefix|header|issuer|audience|realm|policy|id)$/

/** A word in the name of a value that looks random and is not secret. */
const HARMLESS =
  /^(sha|sha1|sha256|commit|revision|rev|version|tag|digest|hash|build|checksum|image|fingerprint|path|file|public)$/

const SHORTEST = 6

/** @returns whether the name of a variable, option or key means that its value is secret: `DB_PASSWORD`, `apiKey`, `--requirepass` */
export function namesSecret(name: string): boolean {
  const words = wordsOf(name)
  if (/^(old)?pwd$/i.test(name) || ABOUT.test(words.at(-1) ?? '')) return false
  const last = words.findLast((word) => !/^\d+$/.test(word)) ?? ''
  return TELLING_LAST.test(last) || words.some((word) => TELLING.test(word) || TELLING_ENDS.test(word))
}

function wordsOf(name: string): string[] {
  return name
    .replace(/([a-z\d])(?=[A-Z])/g, '$1_')
    .toLowerCase()
    .split(/[^a-z\d]+/)
    .filter(Boolean)
}

/** @returns the secrets of a variable's value: all of it, parts of it, or none. */
export function secretsOfVariable(name: string, value: string): string[] {
  const inside = secretsInText(value)
  if (inside.some((part) => part.length >= SHORTEST) && !value.includes('\n')) {
    return isConnection(value) || !namesSecret(name) ? inside : [value, ...inside]
  }
  if (namesSecret(name)) return isPlain(name, value) ? inside : [value, ...inside]
  return looksSecret(name, value) ? [value] : inside
}

/** In an address only the password is secret; the rest is useful in a log. */
function isConnection(value: string): boolean {
  return /^[a-z][a-z\d+.-]*:\/\//i.test(value) || /^[^:@/\s]+:[^@\s]+@/.test(value) || /^\w+=[^;]*;/.test(value)
}

/** Values under a secret name that are not secret: words of the name itself, switches, paths, addresses without a user. */
function isPlain(name: string, value: string): boolean {
  if (/^(true|false|yes|no|on|off|none|null|default|enabled|disabled|\d{1,7}(\.\d+)?(ms|s|m|h|d)?)$/i.test(value))
    return true
  if (letters(name).includes(letters(value)) && isWordy(value)) return true
  if (/^(\/|\.\.?\/|~\/)/.test(value) && !looksRandom(value)) return true
  return /^[a-z][a-z\d+.-]*:\/\/[^\s]+$/i.test(value) && !looksRandom(value)
}

function letters(text: string): string {
  return text.toLowerCase().replace(/[^a-z]/g, '')
}

/** Under any other name a value is secret if it looks like a generated key. */
function looksSecret(name: string, value: string): boolean {
  if (value.length < 16 || wordsOf(name).some((word) => HARMLESS.test(word))) return false
  if (
    /^[a-z][a-z\d+.-]*:\/\//i.test(value) ||
    /^(\/|\.\.?\/)/.test(value) ||
    /[@:][a-z0-9.-]+\.[a-z]{2,}\b|@sha256:/i.test(value)
  )
    return false
  return !/^[\w.-]+(\/[\w.-]+)+(:[\w.-]+)?$/.test(value) || /^[A-Za-z0-9+/=]{32,}$/.test(value)
    ? looksRandom(value)
    : false
}

/**
 * @returns the secrets inside a text: passwords of addresses, `password=…`, `"token": "…"`, `--password …`, private keys. For
 * commands, labels, healthchecks and files of configs: everything but variables.
 */
export function secretsInText(text: string): string[] {
  return [
    ...passwordsOfAddresses(text),
    ...valuesOfPairs(text),
    ...valuesOfShortOptions(text),
    ...privateKeys(text),
    ...bearers(text),
  ].filter((part) => part.length >= SHORTEST && !/^\$(\w+|\{\w+\})$/.test(part)) // the name of a variable is no secret
}

function passwordsOfAddresses(text: string): string[] {
  const found: string[] = []
  for (const [, user = '', password] of text.matchAll(
    /\b[a-z][a-z\d+.-]*:\/\/([^\s:@/?#"'<>]*)(?::([^\s@"'<>]*(?:@[^\s@"'<>/]*)*))?@/gi,
  ))
    found.push(...[password || (looksRandom(user) ? user : '')].filter(Boolean))
  const [, dsn] = /^[^:@/\s]+:(?!\/\/)([^\s]+)@[\w.]*[(:\w]/.exec(text) ?? []
  return dsn === undefined ? found : [...found, dsn]
}

const WORD = /(?:"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)'|([^\s"'&;,|)}\]]+))/.source

/** A name, then `=` or `:`, then a value, in quotes or up to the next space. */
const PAIR = new RegExp(`(?<![A-Za-z0-9_])(["']?)([A-Za-z][A-Za-z0-9_.-]*)\\1[ \\t]*[:=]=?[ \\t]*(?=${WORD})`, 'g')

/** An option and the word after it. */
const OPTION = new RegExp(`(?<![^\\s"'=])(--?)([A-Za-z][A-Za-z0-9_.-]*)\\s+(?!-)${WORD}`, 'g')

function valuesOfPairs(text: string): string[] {
  return [...text.matchAll(PAIR), ...text.matchAll(OPTION)].flatMap(([, , name = '', double, single, bare]) => {
    const value = double ?? single ?? bare ?? ''
    const isReference = /^[$%<{]|^\$\(/.test(value)
    if (isReference || !namesSecret(name) || isPlain(name, value)) return []
    return double === undefined ? [value] : [value, double.replace(/\\(.)/g, '$1')]
  })
}

/** Short options of common programs. */
const SHORT_OPTIONS = [
  /(?<!\S)(?:-u|--user|--proxy-user)[ =]?[^\s:]+:([^\s"']+)/g,
  /\bredis-cli\b[^\n]*?\s-a[ =]?([^\s"']+)/g,
  /\b(?:mysql|mariadb)[\w-]*\b[^\n]*?\s-p([^\s"']+)/g,
]

function valuesOfShortOptions(text: string): string[] {
  const found = SHORT_OPTIONS.flatMap((pattern) => [...text.matchAll(pattern)].map(([, value = '']) => value))
  return found.filter((value) => !/^[$%<{]/.test(value))
}

function privateKeys(text: string): string[] {
  return [...text.matchAll(/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g)].map(
    ([key]) => key,
  )
}

function bearers(text: string): string[] {
  return [...text.matchAll(/\b(?:Bearer|Basic|Token)\s+([A-Za-z0-9._~+/=-]{8,})/g)].flatMap(([, token]) => token ?? [])
}

/** @returns the secrets of a secret's file: the whole text, its lines, and the values in it. */
export function secretsOfFile(text: string): string[] {
  const values = [...text.matchAll(/^\s*(?:export\s+)?["']?[\w.-]+["']?\s*[=:]\s*["']?(.*?)["']?,?\s*$/gm)].map(
    ([, value = '']) => value,
  )
  return [
    text,
    text.trim(),
    ...secretsInText(text),
    ...values.filter((value) => value.length >= SHORTEST && !isWordy(value)),
  ]
}

/** @param variables values of the `environment:` configs and secrets @returns the secrets in a model */
export function secretsOfModel(model: ComposeModel, variables: Readonly<Record<string, string>> = {}): string[] {
  const found: string[] = []
  for (const { environment, file: _file, content } of Object.values(model.secrets ?? {}))
    found.push(...secretsOfFile(content ?? (environment && variables[environment]) ?? ''))
  for (const { environment, content } of Object.values(model.configs ?? {})) {
    if (content) found.push(...secretsInText(content))
    if (environment) found.push(...secretsOfFile(variables[environment] ?? ''))
  }
  for (const service of Object.values(model.services)) found.push(...secretsOfService(service))
  return [...new Set(found)].filter((value) => value !== '')
}

function secretsOfService(service: Service): string[] {
  const { environment, build, ...rest } = service
  const hooks = hookEntries(service)
  const ofHooks = hooks.flatMap(({ environment: own }) =>
    Object.entries(own ?? {}).map(([name, value]) => [name, String(value ?? '')] as const),
  )
  const variables = [...Object.entries(environment ?? {}), ...Object.entries(build?.args ?? {}), ...ofHooks]
  const texts = [...Object.values(rest), build?.['labels']].flatMap(stringsIn)
  return [
    ...variables.flatMap(([name, value]) => (value ? secretsOfVariable(name, value) : [])),
    ...texts.flatMap(secretsInText),
    ...neighbours([
      rest['command'],
      rest['entrypoint'],
      rest.healthcheck?.test,
      ...hooks.map(({ command }) => command),
    ]),
  ]
}

/** `["--password", "…"]`: the option is one argument, its value the next. */
function neighbours(lists: readonly unknown[]): string[] {
  return lists
    .flatMap((list) => (Array.isArray(list) ? list : []))
    .flatMap((word, at, all) => {
      const next: unknown = all[at + 1]
      if (typeof word !== 'string' || typeof next !== 'string' || !/^--?[A-Za-z][\w.-]*$/.test(word)) return []
      return namesSecret(word) && !isPlain(word, next) && !next.startsWith('-') ? [next] : []
    })
}

/** @returns every string in a value, and `name=value` for those under a key. */
function stringsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) return value.flatMap(stringsIn)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, item]) =>
    typeof item === 'string' ? [item, `${name}=${JSON.stringify(item)}`] : stringsIn(item),
  )
}

/** @returns the names in a model, which are not secret: of the project, services, images, containers, networks, volumes, paths. */
export function namesOfModel(model: ComposeModel): string[] {
  const named = [model.networks, model.volumes, model.configs, model.secrets].flatMap((all) =>
    Object.entries(all ?? {}).flatMap(([key, one]) => [
      key,
      one?.name ?? '',
      (one as { file?: string } | null)?.file ?? '',
    ]),
  )
  const services = Object.entries(model.services).flatMap(([name, service]) => [
    name,
    ...[service.image, service.container_name, service['hostname'], service['domainname']].flatMap(stringsIn),
    ...[service.build?.context, service.build?.dockerfile, service.build?.['target']].flatMap(stringsIn),
    ...(service.volumes ?? []).flatMap(({ source, target }) => [source ?? '', target]),
  ])
  return [model.name, ...named, ...services].filter((name) => name !== '')
}
