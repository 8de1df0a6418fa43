import { closeSync, existsSync, fsyncSync, lstatSync, openSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { isAbsolute, join, relative } from 'node:path'
import { type Context, command } from '../cli.ts'
import { type ComposeModel, loadCompose } from '../compose.ts'
import { CONFIG_FILE, OTHER_NAMES } from '../config.ts'
import { configTemplate } from '../config-template.ts'
import { errnoOf, StagecraftError } from '../errors.ts'
import { exec } from '../exec.ts'
import { quote, table } from '../format.ts'
import { addIgnoreLines, type IgnoreChange } from '../ignore-files.ts'
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
    const ignored = ignoreState(directory, model)
    writeNew(join(directory, CONFIG_FILE), configTemplate({ project, ...exampleServices(model) }))
    for (const message of contextsAbove(directory, model)) warn(message)
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
  if (name === undefined)
    throw new StagecraftError('usage', 'Cannot go on: no name was given', { hint: 'Or: stagecraft init --yes' })
  requireName(name)
  return name
}

interface IgnoredFile extends IgnoreChange {
  readonly file: string
}

/** State, secrets and the program itself belong neither into git nor into an image. */
function ignoreState(directory: string, model: ComposeModel): IgnoredFile[] {
  const program = relative(directory, realpathSync(process.execPath))
  const programs = isBelow(program) ? [program] : []
  const add = (file: string, lines: readonly string[]) => ({ file, ...addIgnoreLines(join(directory, file), lines) })
  return [
    add('.gitignore', ['.stagecraft/', ...programs.map((path) => `/${path}`)]),
    ...['.dockerignore', ...dockerfileIgnores(directory, model)].map((file) =>
      add(file, ['.stagecraft/', ...programs]),
    ),
  ]
}

/** `<Dockerfile>.dockerignore`, which takes the place of `.dockerignore`, of builds from the project folder. */
function dockerfileIgnores(directory: string, model: ComposeModel): string[] {
  const files = Object.values(model.services).flatMap(({ build }) =>
    build && sameFolder(build.context, directory) ? [`${build.dockerfile ?? 'Dockerfile'}.dockerignore`] : [],
  )
  return [...new Set(files)]
    .filter((file) => !isAbsolute(file) && isBelow(file) && existsSync(join(directory, file)))
    .toSorted()
}

function contextsAbove(directory: string, model: ComposeModel): string[] {
  return Object.entries(model.services).flatMap(([service, { build }]) => {
    if (!build || !existsSync(build.context)) return []
    const context = realpathSync(build.context)
    const inside = relative(context, directory)
    if (!isBelow(inside)) return []
    return [
      `${service} is built from ${context}, which holds this folder: add ${inside}/.stagecraft/ to its .dockerignore`,
    ]
  })
}

function sameFolder(a: string, b: string): boolean {
  return existsSync(a) && realpathSync(a) === realpathSync(b)
}

function isBelow(path: string): boolean {
  return path !== '' && path !== '..' && !path.startsWith('../') && !isAbsolute(path)
}

/** For the examples in the file: what is built, or else the first; and what keeps data without being built. */
function exampleServices({ services }: ComposeModel): { service: string; database?: string } {
  const names = Object.keys(services).toSorted()
  const database = names.find(
    (name) => services[name]?.build === undefined && (services[name]?.volumes ?? []).length > 0,
  )
  const rest = names.filter((name) => name !== database)
  const service = rest.find((name) => services[name]?.build !== undefined) ?? rest[0] ?? names[0] ?? 'web'
  return database === undefined || database === service ? { service } : { service, database }
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
