import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Folder } from '../support/folder.ts'

/** A run's end: with the first docker command whose arguments hold this text, before it or once it has ended. */
export interface Death {
  readonly at: string
  readonly when: 'before' | 'after'
  /** where the journal must say that it was: else another command was hit than the one that is meant */
  readonly step: 'prepare' | 'switch' | 'retire'
  /** also in `npm test`, which has less time */
  readonly inShort?: true
}

/** Some in each step, and two around the rename that switches. A space before: `--no-start ` is not meant. */
export const DEATHS: readonly Death[] = [
  { at: ' start ', when: 'after', step: 'prepare' },
  { at: ' stagecraft-switch ', when: 'before', step: 'switch' },
  { at: ' stagecraft-switch ', when: 'after', step: 'switch', inShort: true },
  { at: ' stagecraft-drained ', when: 'before', step: 'retire' },
  { at: ' stop ', when: 'before', step: 'retire', inShort: true },
]

/** A docker that ends who called it. It stands first in PATH. */
const KILLER = `#!/bin/sh
PATH=\${PATH#*:}
case " $* " in
*"$KILL_AT"*)
  [ "$KILL_WHEN" = after ] || { kill -9 $PPID; exit 1; }
  docker "$@"; kill -9 $PPID; exit 1 ;;
esac
exec docker "$@"
`

/** Deploys as a run that is killed there. @throws if it was not killed, or elsewhere */
export async function deployAndDie(folder: Folder, version: string, { at, when, step }: Death): Promise<void> {
  folder.write('bin/docker', KILLER, 0o755)
  const path = (await folder.exec(['sh', '-c', 'echo "$PATH"'])).stdout.trim()
  const env = { PATH: `${folder.path}/bin:${path}`, KILL_AT: at, KILL_WHEN: when }
  const { code, stdout, stderr } = await folder.stagecraft(['deploy', '--version', version], { env })
  if (code !== 137) throw new Error(`exit ${code}, not killed at "${at}"\n${stdout}${stderr}`)
  const was = stepOf(folder)
  if (was !== step) throw new Error(`killed at "${at}" in ${was}, not in ${step}\n${stdout}${stderr}`)
}

/** @returns the step that the newest release's journal is in. */
function stepOf(folder: Folder): string {
  const newest = readdirSync(join(folder.here, '.stagecraft/releases')).toSorted().at(-1)
  return JSON.parse(folder.read(`.stagecraft/releases/${newest}/release.json`)).journal?.step ?? 'no journal'
}
