import { closeSync, fsyncSync, lstatSync, openSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Context, command } from '../cli.ts'
import { loadCompose } from '../compose.ts'
import { CONFIG_FILE, OTHER_NAMES } from '../config.ts'
import { configTemplate } from '../config-template.ts'
import { errnoOf, StagecraftError } from '../errors.ts'
import { exec } from '../exec.ts'
import { quote, table } from '../format.ts'
import { evidenceIn } from '../init-evidence.ts'
import { type ContextAbove, contextsAbove, type IgnoredFile, ignoreInContext, ignoreState } from '../init-ignores.ts'
import { secretsOfSource } from '../known-secrets.ts'

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/

export default command({
  name: 'init',
  description: 'Make a project of this folder: write a commented stagecraft.yml, and keep state out of git and images.',
  args: {
    name: { type: 'string', valueHint: 'name', description: "the project's name (default: what Compose calls it)" },
    yes: { type: 'boolean', alias: 'y', description: 'ask nothing' },
    schema: { type: 'boolean', description: 'print the JSON Schema of stagecraft.yml, and do nothing else' },
  },
  examples: [
    ['stagecraft init', 'in the folder of the Compose file'],
    ['stagecraft init --yes --name shop', 'from a script'],
    ['stagecraft init --schema > stagecraft.schema.json', 'for an editor'],
  ],
  exits: [
    [3, 'there is no Compose file, or it is invalid'],
    [8, 'the docker CLI or its compose plugin is missing'],
    [9, 'a file cannot be written'],
  ],
  async run(args, context) {
    if (args.schema) return printSchema(context)
    const directory = realpathSync(context.directory)
    refuseExisting(directory)
    if (args.name !== undefined) requireName(args.name)
    const { secrets } = context.report
    secrets.add(secretsOfSource({ directory, files: [], envFiles: [] }))
    const warn = (message: string) => context.report.emit({ type: 'warning', message: secrets.mask(message) })
    const model = await loadCompose(exec, { directory, files: [], envFiles: [] }, warn)
    const project = args.name ?? (await chooseName(model.name, args.yes ? undefined : context))
    const above = contextsAbove(directory, model)
    const chosen = await chooseContexts(above, args.yes ? undefined : context, warn)
    const ignored = ignoreState(directory, model)
    writeNew(join(directory, CONFIG_FILE), configTemplate({ project, ...evidenceIn(model, directory) }))
    ignored.push(...chosen.flatMap((one) => ignoreOutside(directory, one, warn)))
    const services = Object.keys(model.services).toSorted()
    context.report.result('init', { file: CONFIG_FILE, project, services, ignored }, () => summary(project, ignored))
    return 0
  },
})

async function printSchema(context: Context): Promise<number> {
  const { default: schema } = await import('../../spec/stagecraft.schema.json')
  context.report.result('schema', { schema }, () => JSON.stringify(schema, null, 2).split('\n'))
  return 0
}

function refuseExisting(directory: string): void {
  const isThere = (name: string) => lstatSync(join(directory, name), { throwIfNoEntry: false }) !== undefined
  const found = [CONFIG_FILE, ...OTHER_NAMES].find(isThere)
  if (found === undefined) return
  throw new StagecraftError('usage', `Cannot write ${CONFIG_FILE}: ${found === CONFIG_FILE ? 'it' : found} exists`, {
    hint: 'Edit it, or remove it first. Its schema: stagecraft init --schema',
  })
}

function requireName(name: string): void {
  if (NAME.test(name)) return
  throw new StagecraftError('usage', `Cannot call the project ${quote(name)}`, {
    hint: 'A name has lower-case letters, digits, - and _, begins with a letter or digit, and at most 63 characters.',
  })
}

/** @param asked where a person may be asked. */
async function chooseName(offered: string, asked: Context | undefined): Promise<string> {
  if (asked?.interactive !== true) return offered
  const { ask } = await import('../report-terminal.ts')
  const name = await ask('Project name', offered)
  if (name === undefined) throw gaveUp('no name was given')
  requireName(name)
  return name
}

/**
 * A context above the project folder has its ignore file outside of it: it is written where that is said on a terminal, or nobody is
 * asked at all.
 * @returns those that may be written
 */
async function chooseContexts(
  above: readonly ContextAbove[],
  asked: Context | undefined,
  warn: (message: string) => void,
): Promise<ContextAbove[]> {
  if (asked?.interactive !== true) return [...above]
  const { ask } = await import('../report-terminal.ts')
  const chosen: ContextAbove[] = []
  for (const one of above) {
    const answer = await ask(`Add ${one.lines.join(' and ')} to ${one.ignoreFile}`, 'yes')
    if (answer === undefined) throw gaveUp('no answer was given')
    if (/^y(es)?$/i.test(answer)) chosen.push(one)
    else warn(contextText(one))
  }
  return chosen
}

function contextText({ services, context, lines, ignoreFile }: ContextAbove): string {
  const are = services.length === 1 ? 'is' : 'are'
  return `${services.join(', ')} ${are} built from ${context}, which holds this folder: add ${lines.join(' and ')} to ${ignoreFile}`
}

/** What is outside of the project may belong to somebody else: then the line to add is said. */
function ignoreOutside(directory: string, one: ContextAbove, warn: (message: string) => void): IgnoredFile[] {
  try {
    return [ignoreInContext(directory, one)]
  } catch (error) {
    if (!(error instanceof StagecraftError)) throw error
    warn(`${error.message}. ${contextText(one)}`)
    return []
  }
}

function gaveUp(why: string): StagecraftError {
  return new StagecraftError('usage', `Cannot go on: ${why}`, { hint: 'Or: stagecraft init --yes' })
}

/** Never overwrites, also not what appeared a moment ago, nor through a symlink. */
function writeNew(file: string, text: string): void {
  let fd: number | undefined
  try {
    fd = openSync(file, 'wx', 0o644)
    writeFileSync(fd, text)
    fsyncSync(fd)
  } catch (cause) {
    if (fd !== undefined) rmSync(file, { force: true })
    throw new StagecraftError('state', `Cannot write ${CONFIG_FILE}: ${errnoOf(cause) ?? 'it failed'}`, { cause })
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

function summary(project: string, ignored: readonly IgnoredFile[]): string[] {
  const rows = ignored.flatMap(({ change, file, lines }) =>
    change === 'unchanged' ? [] : [[change, file, lines.join(' ')]],
  )
  return [...table([['wrote', CONFIG_FILE, `project ${project}, environment local`], ...rows]), 'next: stagecraft plan']
}
