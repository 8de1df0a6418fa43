import type { Output } from '../../output/streams.ts'
import { plainLine } from '../../util/format.ts'
import type { Table } from '../find-command.ts'
import { replacementFor, splitLine } from './bash.ts'
import { type Candidates, candidatesFor } from './candidates.ts'

interface World {
  readonly commands: Table
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdout: Output
}

/**
 * Answers the scripts of `completion`: prints words that may come next, one a line, with a tab before their meaning; or `:files`.
 * After `words` come the words of the command line, the last one unfinished. After `bash` come the line up to the cursor, the name
 * of the command in it, and the piece of the line that bash replaces; the answer can be put there as it is.
 *
 * Nobody reads an error here: it prints nothing.
 */
export async function complete(
  [shell, ...given]: readonly string[],
  { commands, env, stdout }: World,
): Promise<number> {
  try {
    stdout.write(
      shell === 'bash' ? await forBash(given, commands, env) : asText(await candidatesFor(given, commands, env)),
    )
  } catch {
    // no help is better than a message in the middle of a command line
  }
  return 0
}

async function forBash(
  [line = '', name = '', piece = '']: readonly string[],
  commands: Table,
  env: World['env'],
): Promise<string> {
  const split = splitLine(line)
  const found = await candidatesFor(split.words.slice(split.words.indexOf(name) + 1), commands, env)
  if (found === 'files') return asText(found)
  return found
    .flatMap(([value]) => replacementFor(value, split, piece) ?? [])
    .map((word) => `${word}\n`)
    .join('')
}

function asText(found: Candidates): string {
  if (found === 'files') return ':files\n'
  return found.map(([value, meaning]) => `${value}${meaning === undefined ? '' : `\t${plainLine(meaning)}`}\n`).join('')
}
