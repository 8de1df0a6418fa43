import { readFileSync } from 'node:fs'
import { unescapeDollars } from '../../lib/compose/load.ts'
import type { ComposeModel } from '../../lib/compose/model.ts'
import type { ExecOptions } from '../../lib/system/exec.ts'

/** A service may be called like a flag: names stand after `--`. */
export function namesAfterDashes([dashes, ...names]: readonly string[]): string[] {
  if (dashes !== '--' || names.length === 0)
    throw new Error(`not -- and names of services: ${dashes} ${names.join(' ')}`)
  return names
}

/** What Compose acts on has nothing left to build, to order or to interpolate; what it only reads may have. */
export function readModel(file: string | undefined, options: ExecOptions): ComposeModel {
  const text = file === '-' ? (options.input ?? '') : readFileSync(file ?? '', 'utf8')
  const model = unescapeDollars(JSON.parse(text)) as ComposeModel // our own models, printed by the code under test
  for (const [name, service] of Object.entries(model.services))
    for (const key of ['build', 'depends_on', 'profiles', 'develop', 'pull_policy'])
      if (file !== '-' && key in service) throw new Error(`${name} has ${key} in the model that Compose acts on`)
  return model
}
