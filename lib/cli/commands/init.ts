import { closeSync, fsyncSync, lstatSync, openSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadCompose } from '../../compose/load.ts'
import type { ComposeModel } from '../../compose/model.ts'
import { CONFIG_FILE, OTHER_NAMES, parseConfig } from '../../config/parse.ts'
import { secretsOfSource } from '../../project/secrets/known.ts'
import { namesOfModel } from '../../secrets/find.ts'
import { exec } from '../../system/exec.ts'
import { errnoOf, errorText, StagecraftError } from '../../util/errors.ts'
import { type Arguments, type Context, command } from '../command.ts'
import { findComposeFiles, findEnvFile } from '../init/env-file.ts'
import { evidenceIn } from '../init/evidence.ts'
import {
  type ContextAbove,
  contextsAbove,
  contextText,
  type IgnoredFile,
  ignoreInContext,
  ignoreState,
} from '../init/ignores.ts'
import { lookAtImages } from '../init/images/inspect.ts'
import { answerTo, chooseContexts, domainOf, HOSTS, PROJECT, refuseUnusable, splitHosts } from '../init/questions.ts'
import { findRunning } from '../init/running.ts'
import { nextLine, summary } from '../init/summary.ts'
import { configTemplate, environmentName, SCHEMA_FILE } from '../init/template/config-file.ts'
import type { TemplateInput } from '../init/template/input.ts'
import { checkEnvironment } from './doctor.ts'

const ARGS = {
  name: { type: 'string', valueHint: 'name', description: "the project's name (default: Compose's)" },
  host: {
    type: 'string',
    valueHint: 'hosts',
    description: 'the server, user@host; several with commas (default: this machine)',
  },
  domain: { type: 'string', valueHint: 'domain', description: 'the host name of the service that answers HTTP' },
  yes: { type: 'boolean', alias: 'y', description: 'ask nothing' },
  schema: { type: 'boolean', description: 'print the JSON Schema of stagecraft.yml, and do nothing else' },
} as const

export default command({
  name: 'init',
  description:
    'Set up a project in this folder: write a stagecraft.yml for its Compose file, and keep the state out of git and images.',
  args: ARGS,
  examples: [
    ['stagecraft init', 'in the folder of the Compose file: asks for name, server and domain'],
    [
      'stagecraft init --host deploy@web-1.example.com --domain shop.example.com',
      'for a server, which doctor checks at once',
    ],
    ['stagecraft init --yes --name shop', 'from a script'],
    ['stagecraft init --schema > stagecraft.schema.json', 'the schema for editors, after an update of Stagecraft'],
  ],
  exits: [
    [0, 'written, even if doctor reports problems on the host'],
    [3, 'there is no Compose file, or it is invalid'],
    [8, 'the docker CLI or its compose plugin is missing'],
    [9, 'a file cannot be written'],
  ],
  async run(args, context) {
    if (args.schema) return printSchema(context)
    const directory = realpathSync(context.directory)
    refuseExisting(directory)
    refuseUnusable(PROJECT, args.name)
    refuseUnusable(HOSTS, args.host)
    refuseUnusable(domainOf(''), args.domain)
    const { input, model, chosen, running } = await findOut(args, directory, context)
    const text = configTemplate(input)
    requireValid(text)
    const ignored = ignoreState(directory, model)
    const isSchemaNew = await writeSchema(directory)
    writeNew(directory, CONFIG_FILE, text)
    ignored.push(...chosen.flatMap((one) => ignoreOutside(directory, one, context)))
    const { project, hosts } = input
    context.report.secrets.addNames([project, ...hosts, input.domain ?? ''])
    const services = Object.keys(model.services).toSorted()
    const where = { file: CONFIG_FILE, project, environment: environmentName(input), hosts }
    const runs = running && { running: { project: running.project, containers: running.containers } }
    const result = { ...where, services, ignored, ...runs }
    const next = hosts.length === 0 ? [nextLine()] : []
    context.report.result('init', result, () => [...summary(input, { isSchemaNew, ignored, running }), ...next])
    if (hosts.length > 0) await checkHosts(environmentName(input), context)
    return 0
  },
})

/** Reads the Compose file, looks at the images, and asks what nobody can guess. */
async function findOut(args: Arguments<typeof ARGS>, directory: string, context: Context) {
  const asked = args.yes ? undefined : context
  const warn = (message: string) =>
    context.report.emit({ type: 'warning', message: context.report.secrets.mask(message) })
  const load = (envFiles: readonly string[]) => loadModel(directory, envFiles, context, warn)
  const envFile = findEnvFile(directory)
  const ofServer = envFile?.isSure === true ? [envFile.name] : []
  const first = await load(args.host === undefined ? [] : ofServer)
  // A folder may have a longer name.
  const project = await answerTo(PROJECT, args.name, first.name.slice(0, 63), asked)
  const hosts = splitHosts(await answerTo(HOSTS, args.host, '', asked))
  const isLate = args.host === undefined && hosts.length > 0 && ofServer.length > 0
  const model = isLate ? await load(ofServer) : first
  const { mask } = context.report.secrets
  const [images, running] = await Promise.all([
    lookAtImages(exec, model, mask),
    hosts.length > 0 ? undefined : findRunning(model, { directory, name: project, mask }),
  ])
  const evidence = evidenceIn(model, directory, images)
  const domain = await chooseDomain(evidence.expose, args.domain, asked)
  const chosen = await chooseContexts(contextsAbove(directory, model), asked, warn)
  const composeFiles = findComposeFiles(directory, context.env)
  const composeProject = running?.isNamed ? running.project : undefined
  const input: TemplateInput = { ...evidence, project, composeProject, hosts, domain, envFile, composeFiles }
  return { input, model, chosen, running }
}

/** @param envFiles in the project folder; none: `.env` */
async function loadModel(
  directory: string,
  envFiles: readonly string[],
  { report: { secrets } }: Context,
  warn: (message: string) => void,
): Promise<ComposeModel> {
  const source = { directory, files: [], envFiles: envFiles.map((name) => join(directory, name)) }
  secrets.addNames([directory])
  secrets.add(secretsOfSource(source))
  const model = await loadCompose(exec, source, warn)
  secrets.addNames(namesOfModel(model))
  return model
}

/** A proxy that is there already needs the ports, so then nothing is asked. @throws usage (2) */
async function chooseDomain(
  expose: TemplateInput['expose'],
  given: string | undefined,
  asked: Context | undefined,
): Promise<string | undefined> {
  if (expose === undefined && given !== undefined)
    throw new StagecraftError('usage', `Cannot expose ${given}: no service of the Compose file seems to answer HTTP`, {
      hint: 'Leave --domain out, and give the service an `expose` in stagecraft.yml.',
    })
  if (expose === undefined || (given === undefined && expose.proxy !== undefined)) return undefined
  return (await answerTo(domainOf(expose.service), given, '', asked)) || undefined
}

/** What is missing on a host is no failure of init, which has done its work. */
async function checkHosts(env: string, context: Context): Promise<void> {
  try {
    await checkEnvironment({ env }, context, (ok) => [nextLine(ok)])
  } catch (error) {
    if (!(error instanceof StagecraftError) || error.kind === 'bug') throw error
    const hint = error.hint === undefined ? {} : { hint: error.hint }
    context.report.emit({ type: 'warning', message: `doctor cannot finish: ${error.message}`, ...hint })
  }
}

async function printSchema(context: Context): Promise<number> {
  const { default: schema } = await import('../../../spec/stagecraft.schema.json')
  context.report.result('schema', { schema }, () => JSON.stringify(schema, null, 2).split('\n'))
  return 0
}

/** @returns whether it was written: one that is there stays as it is */
async function writeSchema(directory: string): Promise<boolean> {
  if (lstatSync(join(directory, SCHEMA_FILE), { throwIfNoEntry: false }) !== undefined) return false
  const { default: schema } = await import('../../../spec/stagecraft.schema.json')
  writeNew(directory, SCHEMA_FILE, `${JSON.stringify(schema, null, 2)}\n`)
  return true
}

/** What does not validate is a bug, and is never written. */
function requireValid(text: string): void {
  try {
    parseConfig(text)
  } catch (cause) {
    throw new Error(`init would write a stagecraft.yml that does not validate: ${errorText(cause)}`, { cause })
  }
}

function refuseExisting(directory: string): void {
  const isThere = (name: string) => lstatSync(join(directory, name), { throwIfNoEntry: false }) !== undefined
  const found = [CONFIG_FILE, ...OTHER_NAMES].find(isThere)
  if (found === undefined) return
  throw new StagecraftError('usage', `Cannot write ${CONFIG_FILE}: ${found === CONFIG_FILE ? 'it' : found} exists`, {
    hint: 'Edit it, or remove it first. Its schema: stagecraft init --schema',
  })
}

/** What is outside of the project may belong to somebody else: then the line to add is said. */
function ignoreOutside(directory: string, one: ContextAbove, { report }: Context): IgnoredFile[] {
  try {
    return [ignoreInContext(directory, one)]
  } catch (error) {
    if (!(error instanceof StagecraftError)) throw error
    report.emit({ type: 'warning', message: report.secrets.mask(`${error.message}. ${contextText(one)}`) })
    return []
  }
}

/** Never overwrites, also not what appeared a moment ago, nor through a symlink. */
function writeNew(directory: string, name: string, text: string): void {
  const file = join(directory, name)
  let fd: number | undefined
  try {
    fd = openSync(file, 'wx', 0o644)
    writeFileSync(fd, text)
    fsyncSync(fd)
  } catch (cause) {
    if (fd !== undefined) rmSync(file, { force: true })
    throw new StagecraftError('state', `Cannot write ${name}: ${errnoOf(cause) ?? 'it failed'}`, { cause })
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}
