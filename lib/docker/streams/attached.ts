import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { actFlags, modelText } from '../../compose/load.ts'
import { withoutShell } from '../../compose/released/variables.ts'
import type { Docker } from '../client.ts'
import { type OneOff, oneOffModel } from '../compose/run.ts'
import type { ModelFile } from '../compose/up.ts'

/** A docker command that a person talks to. */
export interface Attached {
  readonly argv: readonly string[]
  /** undefined: removed from this process's variables */
  readonly env: Readonly<Record<string, string | undefined>>
}

/** @param tty stdin and stdout are terminals @returns what runs a command in a container that runs */
export function execAttached(container: string, command: readonly string[], tty: boolean): Attached {
  return { argv: ['docker', 'exec', '--interactive', ...(tty ? ['--tty'] : []), container, ...command], env: {} }
}

/** @returns what starts a container that has ended, or was never started, and shows what it prints. A signal may only end that. */
export function startAttached(container: string): Attached {
  return { argv: ['docker', 'start', '--attach', container], env: {} }
}

/**
 * @param folder for the model, which only this user can read; must outlive the command
 * @returns what runs a command in a container of its own, which the engine removes when it has ended
 */
export async function runAttached(
  docker: Docker,
  { model, directory, kept }: Omit<ModelFile, 'modelFile'>,
  oneOff: OneOff & { readonly command: readonly string[] | undefined },
  { tty, folder }: { readonly tty: boolean; readonly folder: string },
): Promise<Attached> {
  const file = join(folder, 'compose.json')
  const { service, command = [], name, labels } = oneOff
  writeFileSync(file, modelText(await oneOffModel(docker, model, { ...oneOff, command: undefined })), { mode: 0o600 })
  const flags = actFlags(model.name, kept ?? directory, 'quiet')
  const argv = [
    ...['docker', 'compose', ...flags, '-f', file, 'run', '--rm', '--no-deps', '--name', name],
    ...(tty ? [] : ['-T']),
    ...labels.flatMap((label) => ['--label', label]),
    ...['--', service, ...command],
  ]
  return { argv, env: withoutShell(model, process.env) }
}
