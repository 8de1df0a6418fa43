import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ComposeModel } from '../../compose/model.ts'

/** What is shown of a failed build, instead of the output of all services at once. */
interface BuildFailure {
  /** those whose build failed */
  readonly services: readonly string[]
  readonly reason: string
  /** the step, what it printed last, and its place in the Dockerfile */
  readonly detail: string
}

/** Lines that are shown of what a step printed. */
const MOST_LINES = 20

/**
 * @param built the services that were built together
 * @param printed what Compose printed, with `--progress plain`; 2.40 puts empty lines between some
 * @returns undefined if BuildKit does not say what failed
 */
export function buildFailure(built: readonly string[], model: ComposeModel, printed: string): BuildFailure | undefined {
  const said = printed.replaceAll(/\n\s*(?=\n)/g, '')
  const reason = /^(?:target [\w.-]+: )?failed to solve: (.+)$|^(unable to prepare context: .+)$/m.exec(said)
  const why = reason?.[1] ?? reason?.[2]
  if (why === undefined) return undefined
  const steps = failedSteps(said)
  const [first] = steps
  const named = failedServices(built, said)
  const services = named.length === built.length && named.length > 1 ? suspects(built, model, said) : named
  const short = first === undefined ? why : shorten(first, why)
  const place = /^(\S+:\d+)\n-{5,}\n([\s\S]*?)\n-{5,}$/m.exec(said)
  const shown = [
    ...steps.flatMap(({ name, printed }) => [name, ...printed]),
    ...(place?.slice(1).map((text) => text.trimEnd()) ?? []),
  ]
  return { services, reason: short, detail: [...shown, ...(why === short ? [] : [why])].join('\n') }
}

/** @returns the services whose build failed, as BuildKit names them, or all of them if it does not */
export function failedServices(services: readonly string[], said: string): readonly string[] {
  const found = [...said.matchAll(/^ ?> \[([\w.-]+) .*\]|\btarget ([\w.-]+): failed/gm)]
  const named = new Set(found.flatMap(([, stage, target]) => [stage, target]))
  const failed = services.filter((service) => named.has(service))
  return failed.length > 0 ? failed : services
}

/** A step of a Dockerfile that failed. */
interface Step {
  /** `[web 3/3] RUN make` */
  readonly name: string
  /** the last lines that it printed */
  readonly printed: readonly string[]
  readonly error: string | undefined
}

/** The lines of steps at work alternate: each begins with the step's number, and what a step prints with the seconds too. */
function failedSteps(said: string): Step[] {
  const lines = said.split('\n').map((line) => /^#(\d+) (?:(\[.*)|\d+\.\d+ ?(.*)|ERROR: (.*))$/.exec(line) ?? [])
  return [...said.matchAll(/^ ?> (\[[^\]]+\].*?):?$/gm)].map(([, name = '']) => {
    const number = lines.findLast(([, , title]) => title === name)?.[1]
    const own = number === undefined ? [] : lines.filter(([, of]) => of === number)
    const printed = own.flatMap(([, , , text]) => text ?? [])
    return { name, printed: lastLines(printed), error: own.findLast(([, , , , error]) => error !== undefined)?.[4] }
  })
}

/** What speaks of an error is kept: BuildKit mixes the two streams of a step, so that its last word may stand far above. */
const TELLING = /\b(error|fatal|failed|cannot|could not|undefined|exception|denied|not found|no such)\b/i

function lastLines(printed: readonly string[]): string[] {
  const before = printed.slice(0, -MOST_LINES)
  const telling = before.filter((line) => TELLING.test(line)).slice(-MOST_LINES / 2)
  const left = before.length - telling.length
  return [...(left > 0 ? [`(${left} more lines before)`] : []), ...telling, ...printed.slice(-MOST_LINES)]
}

/** @returns what failed in a few words: `RUN make ended with 2`, `COPY x /y: "/x": not found` */
function shorten({ name, error }: Step, why: string): string {
  const instruction = name.replace(/^\[[^\]]+\] /, '')
  const isLoad = /^load /.test(instruction)
  const short = instruction.length > MOST_LETTERS ? `${instruction.slice(0, MOST_LETTERS)}…` : instruction
  const said = isLoad ? why : (error ?? why)
  const code = /(?:exit code: |returned a non-zero code: )(\d+)$/.exec(said)?.[1]
  if (code !== undefined) return `${short} ended with ${code}`
  const cause = said.replaceAll(NOISE, '')
  return isLoad ? cause : `${short}: ${cause}`
}

const NOISE =
  /failed to (?:compute cache key|calculate checksum of ref \S+|resolve source metadata for \S+|do request): /g

const MOST_LETTERS = 60

/** For the errors in which BuildKit names no service: those whose Dockerfile or context they are about. */
function suspects(built: readonly string[], { services }: ComposeModel, said: string): readonly string[] {
  const context = /unable to prepare context: path "(.+)" not found/.exec(said)?.[1]
  const [, line, word = ''] = /dockerfile parse error on line (\d+): unknown instruction: (\S+)/.exec(said) ?? []
  const isMissing = /failed to read dockerfile: /.test(said)
  const found = built.filter((service) => {
    const build = services[service]?.build
    if (!build) return false
    if (context !== undefined) return build.context === context
    const text = build.dockerfile_inline ?? readText(resolve(build.context, build.dockerfile ?? 'Dockerfile'))
    if (isMissing) return text === undefined
    return line !== undefined && (text?.split('\n')[Number(line) - 1] ?? '').trim().startsWith(word)
  })
  return found.length > 0 ? found : built
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
