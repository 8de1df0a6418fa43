import { type Answer, OK } from './answer.ts'

/** The answer to `docker config`, or `docker secret`. @param all their owners, by name */
export function objectAnswer(all: Map<string, string>, verb: string, rest: readonly string[]): Answer {
  const flags = rest.flatMap((word, at) => (rest[at - 1] === '--label' ? [word] : []))
  if (verb === 'create') all.set(rest.at(-2) ?? '', flags.join('\t'))
  if (verb === 'rm') for (const name of rest) all.delete(name)
  const [, label = ''] = /^label=(.*)$/.exec(rest[1] ?? '') ?? []
  const isStack = label.startsWith('com.docker.stack')
  const own = [...all].filter(([, owner]) => (isStack ? label.endsWith(`=${owner}`) : owner.includes(label)))
  if (verb !== 'ls') return OK
  const values = (owner: string) => owner.split('\t').map((each) => each.slice(each.indexOf('=') + 1))
  return lines(own.map(([name, owner]) => (isStack ? name : [name, ...values(owner)].join('\t'))))
}

export function lines(all: readonly string[]): Answer {
  return { stdout: all.map((line) => `${line}\n`).join('') }
}
