import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Result } from '../system/exec.ts'
import { StagecraftError } from '../util/errors.ts'
import { exampleOf } from './missing/examples.ts'
import { NEEDS_NEWER } from './released/hooks.ts'
import { composeWarnings } from './warnings.ts'

/** Where the values of a Compose file's variables may come from. Paths are absolute. */
interface Sources {
  readonly directory: string
  readonly envFiles: readonly string[]
}

/** `${DB_PASSWORD:?say one}` without a value: Compose reports one of them, in no particular order. */
const REQUIRED = /required variable (\w+) is missing a value(?:: (.*))?$/m

/** Of 2.26 and of 2.40: additional property pre_start is not allowed, additional properties 'pre_start' not allowed. */
const OLD_COMPOSE = /additional propert(y|ies) [^\n]*\bpre_start\b/i

/** How often Compose is run again, so that all variables without a value are reported at once. */
const MOST = 40

/**
 * @param again runs the same command with values for these variables
 * @returns the error (config 3, unreachable 8) for what Compose refuses, with all variables that need a value
 */
export async function refusalOf(
  first: Result,
  again: (env: Readonly<Record<string, string>>) => Promise<Result>,
  sources: Sources,
): Promise<StagecraftError> {
  const wanted = new Map<string, string>()
  let result = first
  while (result.code !== 0 && wanted.size < MOST) {
    const [, name, why = ''] = REQUIRED.exec(result.stderr) ?? []
    if (name === undefined || wanted.has(name)) break
    wanted.set(name, why.trim())
    result = await again(Object.fromEntries([...wanted.keys()].map((each) => [each, 'x'])))
  }
  return wanted.size === 0 ? composeError(first, sources) : withoutValues(wanted, sources)
}

function withoutValues(wanted: ReadonlyMap<string, string>, sources: Sources): StagecraftError {
  const names = [...wanted.keys()].toSorted()
  const have = names.length === 1 ? 'a variable that it needs has' : `${names.length} variables that it needs have`
  const lines = names.map((name) => (wanted.get(name) ? `${name}: ${wanted.get(name)}` : name))
  return new StagecraftError('config', `Cannot read the Compose file: ${have} no value`, {
    detail: lines.join('\n'),
    hint: valuesHint(sources),
  })
}

function valuesHint({ directory, envFiles }: Sources): string {
  const given = envFiles.map((file) => basename(file)).join(', ')
  if (envFiles.length > 0) return `Give them values in ${given}, or in the environment of this command.`
  const own = join(directory, '.env')
  const example = existsSync(own) ? undefined : exampleOf(own)
  const copy = example === undefined ? '' : ` There is an example: cp ${basename(example)} .env .`
  return `Give them values in .env next to the Compose file, or in the environment of this command.${copy}`
}

/** @returns the error (3 or 8) for what Compose refuses, in its words, with its warnings shortened and a hint if one is known */
export function composeError({ stderr }: Pick<Result, 'stderr'>, sources?: Sources): StagecraftError {
  const said = stderr.trim()
  if (/is not a docker command|Usage:\s+docker \[OPTIONS\] COMMAND/.test(said))
    return new StagecraftError('unreachable', 'Cannot run docker compose: the Compose plugin is not installed', {
      detail: said,
      hint: 'Install Docker Compose 2.20 or later as a plugin of the docker command (package docker-compose-plugin).',
    })
  if (said.includes('no configuration file provided'))
    return new StagecraftError('config', 'Cannot find a Compose file in this folder', {
      hint: 'Run it where compose.yaml is, or name the folder with -C, or the file with `compose:` in stagecraft.yml.',
    })
  const words = said.split('\n').filter((line) => !/\blevel=warning msg=/.test(line))
  const warnings = composeWarnings(said).map((warning) => `warning: ${warning}`)
  const hint = OLD_COMPOSE.test(said) ? NEEDS_NEWER : sources && envFileHint(said)
  return new StagecraftError('config', 'Cannot read the Compose file: docker compose refuses it', {
    detail: [...warnings, ...words].join('\n').trim(),
    ...(hint === undefined ? {} : { hint }),
  })
}

/** Many projects have an example next to the env file that people must write. */
function envFileHint(said: string): string | undefined {
  const [, file] = /\benv file (\S.*?) not found/.exec(said) ?? []
  if (file === undefined) return undefined
  const example = exampleOf(file) ?? exampleOf(join(dirname(file), '.env'))
  return example === undefined ? `Create ${file} first.` : `Create it from the example first: cp ${example} ${file} .`
}
