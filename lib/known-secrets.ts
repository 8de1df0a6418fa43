import { readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { contentFolder, type ServingRelease } from './bundle.ts'
import type { ComposeModel, ComposeSource, FileResource } from './compose.ts'
import type { Host } from './host.ts'
import type { SecretSet } from './mask.ts'
import type { Settings } from './project.ts'
import { isWord } from './secret-forms.ts'
import { secretsAt } from './secret-places.ts'
import {
  namesOfModel,
  namesSecret,
  secretsInText,
  secretsOfFile,
  secretsOfModel,
  secretsOfVariable,
} from './secrets.ts'

/** Bytes: longer files are not looked at. */
const MOST = 64 * 1024

/** Files of one trip. */
const MOST_FILES = 64

/**
 * @param source what Compose is to read: paths are absolute
 * @returns what is secret of it, as far as its texts say, and of our own variables: before Compose has read anything
 */
export function secretsOfSource({ directory, envFiles, files: composeFiles }: ComposeSource): string[] {
  const inFolder = (names: readonly string[]) => names.map((name) => join(directory, name))
  const files = envFiles.length > 0 ? envFiles : inFolder(['.env'])
  const texts = composeFiles.length > 0 ? composeFiles : inFolder(COMPOSE_FILES)
  const ours = Object.entries(process.env).filter(([name]) => namesSecret(name))
  return [
    ...files.flatMap((file) => secretsOfEnvText(readText(file) ?? '')),
    ...texts.flatMap((file) => secretsInText(readText(file) ?? '')),
    ...ours.flatMap(([name, value = '']) => secretsOfVariable(name, value)),
  ]
}

/** What Compose finds by itself. */
const COMPOSE_FILES = ['compose', 'docker-compose'].flatMap((name) =>
  ['.yaml', '.yml', '.override.yaml', '.override.yml'].map((end) => name + end),
)

const ASSIGNMENT =
  /^[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*[=:][ \t]*(?:"((?:[^"\\]|\\[\s\S])*)"|'([^']*)'|(.*?)(?:[ \t]+#.*)?)[ \t]*$/gm

function secretsOfEnvText(text: string): string[] {
  // Compose quotes a line that it cannot read.
  const odd = text.split(/\r?\n/).filter((line) => !/^\s*(#|$|(export\s+)?[\w.-]+\s*[=:])/.test(line))
  const words = odd.flatMap((line) => [line.trim(), ...line.split(/[\s"'=]+/).filter((word) => !isWord(word))])
  return [...words, ...secretsOfAssignments(text)]
}

function secretsOfAssignments(text: string): string[] {
  return [...text.matchAll(ASSIGNMENT)].flatMap(([, name = '', double, single, bare]) => {
    const value = double ?? single ?? bare ?? ''
    const forms = double === undefined ? [value] : [value, unescaped(value)]
    // What Compose takes for a variable in the midst of it, it names in a warning.
    const pieces = namesSecret(name) && value.includes('$') ? value.split(/\$\{?/) : []
    return [...forms.flatMap((form) => secretsOfVariable(name, form)), ...pieces]
  })
}

function unescaped(value: string): string {
  return value.replace(/\\([\s\S])/g, (_, one: string) => ({ n: '\n', r: '\r', t: '\t' })[one] ?? one)
}

/** @returns what is secret of a project as its Compose file says now, with the files of its secrets and configs. */
export function secretsOfProject(model: ComposeModel, variables: Readonly<Record<string, string>>): string[] {
  const files = (resources: ComposeModel['secrets'], secretsIn: (text: string) => string[]) =>
    Object.values(resources ?? {}).flatMap(({ file }) => (file === undefined ? [] : secretsIn(readText(file) ?? '')))
  return [
    ...secretsOfModel(model, variables),
    ...files(model.secrets, secretsOfFile),
    ...files(model.configs, secretsInText),
  ].filter((value) => value !== '')
}

/** @returns what a release says itself that is secret; not what only its files hold. */
export function secretsOfRelease({ model, bundle }: Pick<ServingRelease, 'bundle' | 'model'>): string[] {
  return [...secretsOfModel(model), ...secretsAt(model, bundle.secret_at)]
}

/**
 * Learns what is secret of releases, before anything is asked of their containers. The files of their secrets are read from
 * the content, on a host in one trip, and only those that are not known.
 * @param known hashes of files that have been read already
 */
export async function learnSecrets(
  secrets: SecretSet,
  host: Host,
  releases: readonly (Pick<ServingRelease, 'bundle' | 'model'> | undefined)[],
  known: ReadonlySet<string> = new Set(),
): Promise<void> {
  const models = releases.flatMap((release) => (release ? [release.model] : []))
  for (const release of releases) if (release) secrets.add(secretsOfRelease(release))
  for (const model of models) secrets.addNames(namesOfModel(model))
  const wanted = (kind: 'secrets' | 'configs') =>
    [...new Set(models.flatMap((model) => Object.values(model[kind] ?? {}).flatMap(hashOf)))].filter(
      (hash) => !known.has(hash),
    )
  const [whole, partly] = [wanted('secrets'), wanted('configs')]
  const texts = await readContent(host, [...whole, ...partly].slice(0, MOST_FILES))
  for (const [hash, text] of texts) secrets.add(whole.includes(hash) ? secretsOfFile(text) : secretsInText(text))
}

/** The name of the content is all that is believed of the path. */
function hashOf({ file }: FileResource): string[] {
  const [, hash] = /\/content\/([0-9a-f]{32})$/.exec(file ?? '') ?? []
  return hash === undefined ? [] : [hash]
}

async function readContent(host: Host, hashes: readonly string[]): Promise<Map<string, string>> {
  if (host.folder === undefined) {
    const texts = hashes.map((hash) => [hash, readText(join(contentFolder(host.stateFile), hash)) ?? ''] as const)
    return new Map(texts)
  }
  if (hashes.length === 0) return new Map()
  const { stdout } = await host.run(READ, [join(host.folder, 'content'), ...hashes])
  const lines = stdout.split('\n').map((line) => line.split(' '))
  return new Map(lines.flatMap(([hash = '', text]) => (text && hashes.includes(hash) ? [[hash, decoded(text)]] : [])))
}

/** One line a file, its name and its text in base64; no links, nothing but files. */
const READ = `cd "$1" || exit 0; shift
for f; do [ -f "$f" ] && ! [ -L "$f" ] || continue; printf '%s ' "$f"; head -c ${MOST} "$f" 2>/dev/null | base64 | tr -d '\\n'; echo; done`

function decoded(text: string): string {
  return Buffer.from(text, 'base64').toString('utf8')
}

function readText(path: string): string | undefined {
  try {
    const stat = statSync(path)
    return stat.isFile() && stat.size <= MOST ? readFileSync(path, 'utf8') : undefined
  } catch {
    return undefined // whoever needs it says so
  }
}

/** @returns what is called by name in stagecraft.yml, and by where it is */
export function namesOfSettings({ directory, config, environment, hosts }: Settings): string[] {
  const ofHosts = hosts.flatMap(({ name, folder, stateFile }) => [name ?? '', folder ?? '', dirname(stateFile)])
  const { name = '', registry = '' } = config.project
  return [
    directory,
    name,
    registry,
    environment.name,
    ...ofHosts,
    ...environment.env_file,
    ...Object.keys(environment.services),
  ]
}
