import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { type ErrorReport, errorReport } from '../output/error-report.ts'
import { createReporter, type ReporterControl } from '../output/report.ts'
import { createOutput, type Output } from '../output/streams.ts'
import { exitCodeOf, StagecraftError } from '../util/errors.ts'
import { quote } from '../util/format.ts'
import { asksForJson, GLOBAL_ARGS, parseArguments, usage, type Values } from './arguments.ts'
import type { Command, Context } from './command.ts'
import { type Found, findCommand, type Table } from './find-command.ts'

interface Surroundings {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly commands: Table
  /** default: stdout and stderr of this process */
  readonly streams?: Streams
}

interface Streams {
  readonly stdout: Output
  readonly stderr: Output
}

/** What is known about the call when it ends, whether it succeeds or fails. */
interface Call {
  report?: ReporterControl
  verbose: boolean
  /** it only reads: it ends if the reader of its output has gone */
  reads: boolean
  /** its output is one write at the end */
  atOnce: boolean
  isTerminal(fd: number): boolean
  readonly outputFailed: () => boolean
  /** what to do at its end, the last one first */
  readonly ends: (() => Promise<void>)[]
}

/** 128 + SIGPIPE: what a shell reports for a program whose reader has gone. */
const READER_GONE = 141

/** Runs one command line. All errors are printed here, once. @returns the exit code */
export async function dispatch(surroundings: Surroundings): Promise<number> {
  const streams = surroundings.streams ?? { stdout: createOutput(1), stderr: createOutput(2) }
  const outputFailed = () => streams.stdout.failure !== undefined
  const call: Call = { verbose: false, reads: true, atOnce: true, isTerminal: () => false, outputFailed, ends: [] }
  let exit = 0
  let failure: ErrorReport | undefined
  try {
    exit = await run(surroundings, streams, call)
  } catch (error) {
    exit = exitCodeOf(error)
    failure = errorReport(error, { verbose: call.verbose })
  }
  for (const end of call.ends.toReversed()) await end().catch(() => {}) // the next command removes what this one leaves
  const report = call.report ?? textReporter(streams, asksForJson(surroundings.argv))
  if (failure !== undefined) report.error(failure)
  report.finish(exit, failure)
  return afterOutput(exit, call.reads, streams)
}

async function run(
  { argv, env, commands, streams: given }: Surroundings,
  streams: Streams,
  call: Call,
): Promise<number> {
  if (argv[0] === '__complete') {
    call.report = textReporter(streams, false)
    const { complete } = await import('./completion/complete.ts')
    return complete(argv.slice(1), { commands, env, stdout: streams.stdout })
  }
  const [help, word = '', ...more] = argv
  const topics = help === 'help' && more.length === 0 ? await import('./topics.ts') : undefined
  const topic = Object.hasOwn(commands, word) ? undefined : topics?.findTopic(word)
  if (topic !== undefined) return showTopic(topic, streams, call)
  const found = findCommand(argv, commands, Object.keys(topics?.TOPICS ?? {}))
  if (found.kind === 'list') return showList(found, streams, call)
  const { default: command } = await found.load()
  const { own, rest } = command.rest === undefined ? { own: found.argv, rest: [] } : cutAtDashes(found.argv)
  const values = parseArguments(found.name, { ...command.args, ...GLOBAL_ARGS }, own, env)
  if (values['help'] === true) return showHelp(command, streams, call)
  if (values['quiet'] === true && values['verbose'] === true) {
    throw usage(found.name, '"--quiet" and "--verbose" exclude each other')
  }
  call.verbose = values['verbose'] === true
  call.reads = command.reads === true
  call.atOnce = call.reads && values[command.streams ?? ''] !== true
  // A command that prints at its end asks no questions and colours no progress: it starts 2 ms faster without this module.
  if (!call.atOnce && given === undefined) call.isTerminal = (await import('node:tty')).isatty
  call.report = await openReporter(values, env, streams, call)
  const context = { ...openContext(found.name, values, call, { env, report: call.report }), rest }
  // Sound: the values were parsed by the definition of the same command.
  return (await command.run(values as Parameters<Command['run']>[0], context)) ?? 0
}

/** @returns the words before and after the first `--` */
function cutAtDashes(argv: readonly string[]): { own: readonly string[]; rest: readonly string[] } {
  const at = argv.indexOf('--')
  return at < 0 ? { own: argv, rest: [] } : { own: argv.slice(0, at), rest: argv.slice(at + 1) }
}

/** Prints the list of commands: as the result if `--help` is given, else as the error. */
async function showList(found: Found & { kind: 'list' }, streams: Streams, call: Call): Promise<number> {
  const { tableHelp } = await import('./usage.ts')
  const text = await tableHelp(found.name, found.description, found.table)
  call.report = textReporter(streams, false)
  if (found.asked) call.report.text(text.split('\n'))
  else streams.stderr.write(`${text}\n`)
  return found.asked ? 0 : 2
}

function showTopic(text: string, streams: Streams, call: Call): number {
  call.report = textReporter(streams, false)
  call.report.text(text.trim().split('\n'))
  return 0
}

async function showHelp(command: Command, streams: Streams, call: Call): Promise<number> {
  const { commandHelp } = await import('./usage.ts')
  const text = await commandHelp(command)
  call.report = textReporter(streams, false)
  call.report.text(text.split('\n'))
  return 0
}

/** For help, which is always text, and for errors before the command is known. */
function textReporter(streams: Streams, json: boolean): ReporterControl {
  return createReporter({ ...streams, mode: json ? 'json' : 'plain', quiet: false, verbose: false, atOnce: true })
}

async function openReporter(
  values: Values,
  env: Surroundings['env'],
  streams: Streams,
  call: Call,
): Promise<ReporterControl> {
  const mode = values['json'] === true ? 'json' : call.isTerminal(2) ? 'terminal' : 'plain'
  const quiet = values['quiet'] === true
  const how = mode === 'terminal' ? (await import('../output/terminal.ts')).terminalOptions(env, quiet) : {}
  return createReporter({ ...streams, mode, quiet, verbose: call.verbose, atOnce: call.atOnce, ...how })
}

function openContext(
  name: string,
  values: Values,
  call: Call,
  { env, report }: Pick<Context, 'env' | 'report'>,
): Omit<Context, 'rest'> {
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
    isTerminal: call.isTerminal,
    outputFailed: call.outputFailed,
    interactive: report.mode !== 'json' && call.isTerminal(0) && call.isTerminal(2),
  }
}

/** A clock that begins with this machine's time and then only counts on: a change of the system time changes no timeout. */
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

/**
 * Lost output changes the exit code only if it was 0; a reader that has gone, only if the command only reads. A command that
 * follows ends once its output has failed, as if the reader had gone: that is so only if it has.
 */
function afterOutput(exit: number, reads: boolean, { stdout, stderr }: Streams): number {
  const isFull = exit === READER_GONE && stdout.failure !== undefined && stdout.failure !== 'EPIPE'
  if (exit !== 0 && !isFull) return exit
  if (stdout.failure === 'EPIPE' && reads) return READER_GONE
  const lost = [stdout.failure, stderr.failure].find((code) => code !== undefined && code !== 'EPIPE')
  if (lost === undefined) return 0
  const reason = lost === 'ENOSPC' ? 'no space left on the device' : lost
  stderr.write(`Cannot write the output: ${reason}\n`)
  return exitCodeOf(new StagecraftError('state', reason))
}
