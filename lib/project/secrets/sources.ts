import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ComposeModel } from '../../compose/model.ts'
import { commandText, runnable } from '../../config/fields.ts'
import type { Environment } from '../../config/parse.ts'
import type { SecretSource } from '../../config/secrets.ts'
import { createSecrets, type SecretSet } from '../../secrets/mask.ts'
import type { Exec } from '../../system/exec.ts'
import { errnoOf, StagecraftError } from '../../util/errors.ts'
import { formatDuration } from '../../util/format.ts'
import { Problems } from '../../util/problems.ts'

/** What reading a source needs. */
interface SourceTools {
  /** runs programs on this machine */
  readonly exec: Exec
  /** the project folder */
  readonly directory: string
  /** gets each value as soon as it is known */
  readonly secrets?: SecretSet | undefined
}

/** Milliseconds. */
const PATIENCE = 30_000

/** From TERM to KILL: it has nothing to finish. */
const GRACE = 2_000

/** Bytes. Linux refuses a variable of 128 KiB. */
const MOST = 64 * 1024

/**
 * Reads secrets from their sources, all at once.
 * @param names those that are needed; one without a source is left out
 * @returns values by variable, without line breaks at their end
 * @throws config (3) with every one that cannot be read
 */
export async function readSources(
  { secrets: sources = {} }: Environment,
  names: readonly string[],
  tools: SourceTools,
): Promise<Record<string, string>> {
  const problems = new Problems()
  const read = Object.entries(sources ?? {}).flatMap(([name, source]) =>
    names.includes(name) ? [{ name, source }] : [],
  )
  const all = read.map(async ({ name, source }) => {
    try {
      const { file } = source
      const value = file === undefined ? await run(name, source, tools) : readSecretFile(name, file, tools)
      tools.secrets?.add([value])
      return [[name, checked(name, value)] as const]
    } catch (error) {
      problems.add(error)
      return []
    }
  })
  const values = Object.fromEntries((await Promise.all(all)).flat())
  problems.refuse()
  return values
}

/**
 * Finds out with marks in place of values which variables a Compose application uses, so that no source is asked in vain.
 * @param load loads the application with these variables
 * @returns all of them if it cannot be loaded so
 */
export async function namesUsed(
  names: readonly string[],
  load: (variables: Readonly<Record<string, string>>) => Promise<ComposeModel>,
): Promise<readonly string[]> {
  const marks = Object.fromEntries(names.map((name) => [name, crypto.randomUUID()]))
  const model = await load(marks).catch(() => undefined)
  if (model === undefined) return names
  const text = JSON.stringify(model)
  const named = [model.configs, model.secrets].flatMap((files) =>
    Object.values(files ?? {}).map((file) => file.environment),
  )
  return names.filter((name) => text.includes(marks[name] ?? '') || named.includes(name))
}

/** @returns `exec` for programs that get these variables */
export function withVariables(exec: Exec, variables: Readonly<Record<string, string>>): Exec {
  return (argv, options) => exec(argv, { ...options, env: { ...variables, ...options?.env } })
}

/** It has no terminal: it cannot ask, and what it prints is shown nowhere but, masked, in its error. */
async function run(name: string, source: SecretSource, tools: SourceTools) {
  const { exec, directory } = tools
  const { command = [], timeout = PATIENCE } = source
  const limits = { timeout, grace: GRACE, limit: MOST + 1, outlive: 0 }
  const { code, stdout, stderr, timedOut } = await exec(runnable(name, command), { cwd: directory, ...limits })
  // What it has printed may be the secret, also if it failed then.
  const secrets = tools.secrets ?? createSecrets()
  secrets.add([stdout.trim()])
  const text = secrets.mask(commandText(command))
  const fail = (why: string) =>
    new StagecraftError('config', `Cannot read the secret ${name}: ${text} ${why}`, {
      detail: secrets.mask(stderr.trim()) || undefined,
      hint: 'It runs without a terminal and cannot ask. Try it by hand: sign in first, or set what it needs.',
    })
  if (timedOut) throw fail(`did not end within ${formatDuration(timeout)}`)
  if (code !== 0) throw fail(`ended with ${code}`)
  return stdout
}

function readSecretFile(name: string, file: string, { directory }: SourceTools): string {
  const path = resolve(directory, file)
  try {
    const { size } = statSync(path)
    return size > MOST ? ' '.repeat(MOST + 1) : readFileSync(path, 'utf8')
  } catch (error) {
    const why = errnoOf(error) === 'ENOENT' ? 'does not exist' : `cannot be read (${errnoOf(error)})`
    throw new StagecraftError('config', `Cannot read the secret ${name}: ${file} ${why}`, { hint: `The file: ${path}` })
  }
}

function checked(name: string, text: string): string {
  const fail = (why: string) => new StagecraftError('config', `Cannot use the secret ${name}: ${why}`)
  if (Buffer.byteLength(text) > MOST) throw fail(`it has more than 64 KiB`)
  const value = text.replace(/[\r\n]+$/, '')
  if (value === '') throw fail('it is empty')
  // What is not UTF-8 was read as U+FFFD: the application would get another value.
  if (/[\0\ufffd]/.test(value)) throw fail('it is binary: a variable cannot hold it')
  return value
}
