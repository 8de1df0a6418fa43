import { isHostName } from '../../config/edge/expose.ts'
import { hostKey, parseHostAddress } from '../../config/host-address.ts'
import { StagecraftError } from '../../util/errors.ts'
import { quote } from '../../util/format.ts'
import type { Context } from '../command.ts'
import { type ContextAbove, contextText } from './ignores.ts'

/** Something that is asked on a terminal, or said by a flag. */
interface Question {
  readonly text: string
  /** @returns why an answer cannot be used, and what would do; undefined: it can */
  problem(answer: string): readonly [message: string, hint: string] | undefined
}

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/

export const PROJECT: Question = {
  text: 'Project name',
  problem: (name) =>
    NAME.test(name)
      ? undefined
      : [
          `Cannot call the project ${quote(name)}`,
          'A name has lower-case letters, digits, - and _, begins with a letter or digit, and at most 63 characters.',
        ],
}

export const HOSTS: Question = {
  text: 'Server to deploy to, user@host (empty: this machine)',
  problem(text) {
    const names = splitHosts(text)
    const hosts = names.flatMap((name) => parseHostAddress(name) ?? [])
    const wrong = names.find((name) => parseHostAddress(name) === undefined)
    const hint =
      'For example deploy@web-1.example.com, ssh://deploy@web-1:2222, tailscale:web-1, or a Host of ~/.ssh/config.'
    if (wrong !== undefined || names.length === 0) return [`Cannot use the host ${quote(wrong ?? text)}`, hint]
    const isTwice = new Set(hosts.map(hostKey)).size < hosts.length
    return isTwice ? ['Cannot use the hosts: one is named twice', hint] : undefined
  },
}

export const domainOf = (service: string): Question => ({
  text: `Domain of ${service}, such as shop.example.com (empty: not yet)`,
  problem: (name) =>
    isHostName(name) && !name.startsWith('*')
      ? undefined
      : [`Cannot use the domain ${quote(name)}`, 'A host name such as shop.example.com: no scheme, no port, no path.'],
})

/** @returns the hosts of a list with commas */
export function splitHosts(text: string): string[] {
  return text.split(/[\s,]+/).filter((name) => name !== '')
}

/** @throws usage (2) for a flag that answers a question, and cannot be used */
export function refuseUnusable({ problem }: Question, given: string | undefined): void {
  const [message, hint] = given === undefined ? [] : (problem(given) ?? [])
  if (message !== undefined) throw new StagecraftError('usage', message, { hint })
}

/**
 * @param asked where a person may be asked, until the answer can be used
 * @returns what was given beforehand, or the answer, or `offered` where nobody is asked
 * @throws usage (2) after Ctrl-C
 */
export async function answerTo(
  question: Question,
  given: string | undefined,
  offered: string,
  asked: Context | undefined,
): Promise<string> {
  if (given !== undefined) return given
  if (asked?.interactive !== true) return offered
  for (;;) {
    const answer = await askOnTerminal(question.text, offered)
    const [message, hint] = answer === '' ? [] : (question.problem(answer) ?? [])
    if (message === undefined) return answer
    asked.report.emit({ type: 'warning', message, ...(hint === undefined ? {} : { hint }) })
  }
}

/**
 * A context above the project folder has its ignore file outside of it: it is written where that is said on a terminal, or nobody is
 * asked at all.
 * @returns those that may be written
 */
export async function chooseContexts(
  above: readonly ContextAbove[],
  asked: Context | undefined,
  warn: (message: string) => void,
): Promise<ContextAbove[]> {
  if (asked?.interactive !== true) return [...above]
  const chosen: ContextAbove[] = []
  for (const one of above) {
    const answer = await askOnTerminal(`Add ${one.lines.join(' and ')} to ${one.ignoreFile}`, 'yes')
    if (/^y(es)?$/i.test(answer)) chosen.push(one)
    else warn(contextText(one))
  }
  return chosen
}

async function askOnTerminal(question: string, offered: string): Promise<string> {
  const { ask } = await import('../../output/terminal.ts')
  const answer = await ask(question, offered)
  if (answer !== undefined) return answer
  throw new StagecraftError('usage', 'Cannot continue: no answer was given', {
    hint: 'Nothing was written. Without questions: stagecraft init --yes',
  })
}
