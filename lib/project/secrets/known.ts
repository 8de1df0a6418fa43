import { readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ComposeModel, ComposeSource, FileResource } from '../../compose/model.ts'
import type { Host } from '../../hosts/host.ts'
import { contentFolder, type LiveRelease } from '../../record/bundle.ts'
import {
  namesOfModel,
  namesSecret,
  secretsInText,
  secretsOfFile,
  secretsOfModel,
  secretsOfVariable,
} from '../../secrets/find.ts'
import { isWord } from '../../secrets/forms.ts'
import type { SecretSet } from '../../secrets/mask.ts'
import { secretsAt } from '../../secrets/places.ts'
import type { Settings } from '../settings.ts'

/** Bytes. Longer files are not read. */
const MOST = 64 * 1024

/** The most files read from a host in one command. */
const MOST_FILES = 64

/**
 * @param source the files for Compose, with absolute paths
 * @returns the secrets in the text of these files, and in our own variables, before Compose reads anything
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

/** The files that Compose reads by default. */
const COMPOSE_FILES = ['compose', 'docker-compose'].flatMap((name) =>
  ['.yaml', '.yml', '.override.yaml', '.override.yml'].map((end) => name + end),
)

const ASSIGNMENT =
  /^[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*[=:][ \t]*(?:"((?:[^"\\]|\\[\s\S])*)"|'([^']*)'|(.*?))(?:[ \t]+#.*)?[ \t]*$/gm

function secretsOfEnvText(text: string): string[] {
  // Compose prints a line that it cannot parse.
  const odd = text.split(/\r?\n/).filter((line) => !/^\s*(#|$|(export\s+)?[\w.-]+\s*[=:])/.test(line))
  const words = odd.flatMap((line) => [line.trim(), ...line.split(/[\s"'=]+/).filter((word) => !isWord(word))])
  return [...words, ...secretsOfAssignments(text)]
}

function secretsOfAssignments(text: string): string[] {
  return [...text.matchAll(ASSIGNMENT)].flatMap(([, name = '', double, single, bare]) => {
    const value = double ?? single ?? bare ?? ''
    const forms = double === undefined ? [value] : [value, unescaped(value)]
    // Compose takes `$…` in a value for a variable, and prints its name in a warning.
    const pieces = namesSecret(name) && value.includes('$') ? value.split(/\$\{?/) : []
    return [...forms.flatMap((form) => secretsOfVariable(name, form)), ...pieces]
  })
}

function unescaped(value: string): string {
  return value.replace(/\\([\s\S])/g, (_, one: string) => ({ n: '\n', r: '\r', t: '\t' })[one] ?? one)
}

/** @returns the secrets in a project's current Compose model, and in the files of its secrets and configs */
export function secretsOfProject(model: ComposeModel, variables: Readonly<Record<string, string>>): string[] {
  const files = (resources: ComposeModel['secrets'], secretsIn: (text: string) => string[]) =>
    Object.values(resources ?? {}).flatMap(({ file }) => (file === undefined ? [] : secretsIn(readText(file) ?? '')))
  return [
    ...secretsOfModel(model, variables),
    ...files(model.secrets, secretsOfFile),
    ...files(model.configs, secretsInText),
  ].filter((value) => value !== '')
}

/** @returns the secrets in a release's model and bundle, without those in its files */
export function secretsOfRelease({ model, bundle }: Pick<LiveRelease, 'bundle' | 'model'>): string[] {
  return [...secretsOfModel(model), ...secretsAt(model, bundle.secret_at)]
}

/**
 * Adds the secrets of releases, before their containers are inspected. The files of secrets and configs are read from the content
 * folder, on a host with one command.
 * @param known hashes of files that were already read
 */
export async function learnSecrets(
  secrets: SecretSet,
  host: Host,
  releases: readonly (Pick<LiveRelease, 'bundle' | 'model'> | undefined)[],
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

/** Only the content's hash in the path is used. */
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

/** Prints a line for each regular file: its name, and its text in base64. */
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
    return undefined // a later step reports a file that it cannot read
  }
}

/** @returns names and paths in the settings, which are no secrets */
export function namesOfSettings({ directory, config, environment, hosts }: Settings): string[] {
  const ofHosts = hosts.flatMap(({ name, folder, stateFile }) => [name, folder ?? '', dirname(stateFile)])
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
