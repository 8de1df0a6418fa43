import type { Exec, Result } from '../../lib/system/exec.ts'

interface Config {
  readonly labels: Readonly<Record<string, string>>
  readonly text: string
}

/** What becomes of a command: it is lost before the Swarm does it, or its answer is; or the machine dies just before or after. */
export type Fate = 'lost' | 'unanswered' | 'dies before' | 'dies after'

/** The configs of a Swarm, for several machines that use it at the same time. */
export class FakeConfigs {
  readonly all = new Map<string, Config>()
  /** the commands of all machines that change something: the verb, and the end of each name */
  readonly changes: string[] = []
  /** the most bytes of a config */
  largest = 0

  /** @param fate of a machine's command, by its number from 1 @param onDeath called when the machine has died */
  machine(fate: (at: number, verb: string) => Fate | undefined = () => undefined, onDeath = () => {}): Exec {
    let [at, isDead] = [0, false]
    return async (argv, { input = '' } = {}) => {
      await Bun.sleep(0)
      const [, noun, verb = '', ...rest] = argv
      if (noun !== 'config') throw new Error(`an unknown command: ${argv.join(' ')}`)
      if (isDead) return new Promise<Result>(() => {})
      const own = fate(++at, verb)
      if (own?.startsWith('dies')) isDead = true
      const answer = own === 'lost' || own === 'dies before' ? LOST : this.#do(verb, rest, input)
      if (isDead) {
        onDeath()
        return new Promise<Result>(() => {})
      }
      return { argv, ...OK, ...(own === 'unanswered' ? LOST : answer) }
    }
  }

  /** The names, without what they have in common. */
  names(): string[] {
    return [...this.all.keys()].map(short)
  }

  /** Replaces the text of the first config whose name has this in it. */
  spoil(part: string, change: (text: string) => string): void {
    const [name = '', config] = [...this.all].find(([each]) => each.includes(part)) ?? []
    if (config === undefined) throw new Error(`no config ${part}`)
    this.all.set(name, { ...config, text: change(config.text) })
  }

  #do(verb: string, rest: readonly string[], input: string): Partial<Result> {
    if (verb === 'ls') return { stdout: this.#list(rest) }
    if (verb === 'inspect') return this.#inspect(rest)
    this.changes.push(
      `${verb} ${rest.filter((word) => word.startsWith('stagecraft.') && !word.includes('=')).map(short)}`,
    )
    if (verb === 'create') return this.#create(rest, input)
    const gone = rest.filter((name) => !this.all.delete(name))
    return gone.length === 0 ? {} : { code: 1, stderr: gone.map(notFound).join('') }
  }

  #list(rest: readonly string[]): string {
    const [, store = ''] = /^label=(.*)$/.exec(rest[rest.indexOf('--filter') + 1] ?? '') ?? []
    const own = [...this.all].filter(([, { labels }]) => `stagecraft.store=${labels['stagecraft.store']}` === store)
    return own.map(([name, { labels }]) => `${name}\t${labels['stagecraft.value']}\n`).join('')
  }

  #inspect(names: readonly string[]): Partial<Result> {
    const found = names.flatMap((name) => {
      const config = this.all.get(name)
      return config ? [{ Spec: { Name: name, Data: Buffer.from(config.text).toString('base64') } }] : []
    })
    const gone = names.filter((name) => !this.all.has(name))
    return {
      stdout: JSON.stringify(found),
      ...(gone.length > 0 ? { code: 1, stderr: gone.map(notFound).join('') } : {}),
    }
  }

  #create(rest: readonly string[], text: string): Partial<Result> {
    const labels = rest.flatMap((word, at) => {
      const [, key = '', value = ''] = /^([^=]+)=(.*)$/s.exec(word) ?? []
      return rest[at - 1] === '--label' ? [[key, value] as const] : []
    })
    const name = rest.at(-2) ?? ''
    if (this.all.has(name))
      return {
        code: 1,
        stderr: `Error response from daemon: rpc error: code = AlreadyExists desc = config ${name} already exists\n`,
      }
    if (text.length === 0 || text.length >= 1_024_000) return { code: 1, stderr: 'config data must be larger than 0\n' }
    this.largest = Math.max(this.largest, text.length)
    this.all.set(name, { labels: Object.fromEntries(labels), text })
    return {}
  }
}

const OK = { code: 0, stdout: '', stderr: '', timedOut: false }
const LOST = { code: 1, stderr: 'error during connect: Get "http://x/v1.50/configs": EOF\n' }

function notFound(name: string): string {
  return `Error response from daemon: config ${name} not found\n`
}

function short(name: string): string {
  return name.replace(/^stagecraft\.[^.]+\.[0-9a-f]{8}\./, '').replace(/^part\..*/, 'part')
}
