import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { asksForJson, GLOBAL_ARGS, parseArguments, usage, type Values } from './arguments.ts'
import type { Command, Context } from './cli.ts'
import { type ErrorReport, errorReport } from './error-report.ts'
import { exitCodeOf, StagecraftError } from './errors.ts'
import { type Found, findCommand, type Table } from './find-command.ts'
import { quote } from './format.ts'
import { createOutput, type Output } from './output.ts'
import { createReporter, type ReporterControl } from './report.ts'

export interface Surroundings {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly commands: Table
  /** Default: our own. */
  readonly streams?: Streams
}

export interface Streams {
  readonly stdout: Output
  readonly stderr: Output
}

/** What is known of the call when it ends, however it ends. */
interface Call {
  report?: ReporterControl
  verbose: boolean
  /** It only reads, and its output is one write at the end. */
  reads: boolean
  isTerminal(fd: number): boolean
  /** what is done at its end, the last first */
  readonly ends: (() => Promise<void>)[]
}

/** 128 + SIGPIPE: what a shell reports of a program whose reader has gone. */
const READER_GONE = 141

/** Runs one command line. Everything that goes wrong is printed here, once. @returns the exit code. */
export async function dispatch(surroundings: Surroundings): Promise<number> {
  const streams = surroundings.streams ?? { stdout: createOutput(1), stderr: createOutput(2) }
  const call: Call = { verbose: false, reads: true, isTerminal: () => false, ends: [] }
  let exit = 0
  let failure: ErrorReport | undefined
  try {
    exit = await run(surroundings, streams, call)
  } catch (error) {
    exit = exitCodeOf(error)
    failure = errorReport(error, { verbose: call.verbose })
  }
  for (const end of call.ends.toReversed()) await end().catch(() => {}) // whatever stays is swept by the next one
  const report = call.report ?? textReporter(streams, asksForJson(surroundings.argv))
  if (failure !== undefined) report.error(failure)
  report.finish(exit, failure)
  return afterOutput(exit, call.reads, streams)
}

async function run({ argv, env, commands }: Surroundings, streams: Streams, call: Call): Promise<number> {
  const found = findCommand(argv, commands)
  if (found.kind === 'list') return showList(found, streams, call)
  const { default: command } = await found.load()
  const values = parseArguments(found.name, { ...command.args, ...GLOBAL_ARGS }, found.argv, env)
  if (values['help'] === true) return showHelp(command, streams, call)
  if (values['quiet'] === true && values['verbose'] === true) {
    throw usage(found.name, '"--quiet" and "--verbose" exclude each other')
  }
  call.verbose = values['verbose'] === true
  call.reads = command.reads === true
  // What only reads asks nobody and has no progress to colour: it starts 2 ms faster without this module.
  if (!call.reads) call.isTerminal = (await import('node:tty')).isatty
  call.report = await openReporter(values, streams, call)
  const context = openContext(found.name, values, call, { env, report: call.report })
  // Sound: the values were parsed by the command's own definition.
  return (await command.run(values as Parameters<Command['run']>[0], context)) ?? 0
}

/** Without a command, and without having been asked, the list of commands is the error. */
async function showList(found: Found & { kind: 'list' }, streams: Streams, call: Call): Promise<number> {
  const { tableHelp } = await import('./usage.ts')
  const text = await tableHelp(found.name, found.description, found.table)
  call.report = textReporter(streams, false)
  if (found.asked) call.report.result('help', {}, () => text.split('\n'))
  else streams.stderr.write(`${text}\n`)
  return found.asked ? 0 : 2
}

async function showHelp(command: Command, streams: Streams, call: Call): Promise<number> {
  const { commandHelp } = await import('./usage.ts')
  const text = await commandHelp(command)
  call.report = textReporter(streams, false)
  call.report.result('help', {}, () => text.split('\n'))
  return 0
}

/** For help, which is text in any case, and for errors before the command is known. */
function textReporter(streams: Streams, json: boolean): ReporterControl {
  return createReporter({ ...streams, mode: json ? 'json' : 'plain', quiet: false, verbose: false, atOnce: true })
}

async function openReporter(values: Values, streams: Streams, call: Call): Promise<ReporterControl> {
  const mode = values['json'] === true ? 'json' : call.isTerminal(2) ? 'terminal' : 'plain'
  const style = mode === 'terminal' ? { style: (await import('./report-terminal.ts')).terminalStyle } : {}
  const wishes = { quiet: values['quiet'] === true, verbose: call.verbose, atOnce: call.reads }
  return createReporter({ ...streams, mode, ...wishes, ...style })
}

function openContext(
  name: string,
  values: Values,
  call: Call,
  { env, report }: Pick<Context, 'env' | 'report'>,
): Context {
  const { directory, state } = values
  const here = currentFolder()
  return {
    directory: projectFolder(name, here, typeof directory === 'string' ? directory : '.'),
    stateOverride: typeof state === 'string' ? resolve(here, state) : undefined,
    report,
    verbose: values['verbose'] === true,
    env,
    clock: steadyClock(),
    onEnd: (act) => call.ends.push(act),
    interactive: report.mode !== 'json' && call.isTerminal(0) && call.isTerminal(2),
  }
}

/** The clock of this machine as it was when we began: that somebody sets it meanwhile decides no wait of ours. */
function steadyClock(): () => number {
  const start = Date.now() - performance.now()
  return () => Math.floor(start + performance.now())
}

function currentFolder(): string {
  try {
    return process.cwd()
  } catch (cause) {
    throw new StagecraftError('usage', 'Cannot run here: the current folder does not exist any more', { cause })
  }
}

function projectFolder(name: string, here: string, directory: string): string {
  const folder = resolve(here, directory)
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return folder
  throw usage(name, `there is no folder ${quote(directory)}`)
}

/** Output that was lost counts only where nothing worse has happened; a reader that left, only where all it did was to read. */
function afterOutput(exit: number, reads: boolean, { stdout, stderr }: Streams): number {
  if (exit !== 0) return exit
  if (stdout.failure === 'EPIPE' && reads) return READER_GONE
  const lost = [stdout.failure, stderr.failure].find((code) => code !== undefined && code !== 'EPIPE')
  if (lost === undefined) return 0
  const reason = lost === 'ENOSPC' ? 'no space left on the device' : lost
  stderr.write(`Cannot write the output: ${reason}\n`)
  return exitCodeOf(new StagecraftError('state', reason))
}
