import { expect } from 'bun:test'
import { tmpdir } from 'node:os'
import { quotePosix } from '../../lib/util/format.ts'
import type { Engine } from './engine.ts'
import type { Folder } from './folder.ts'

/** Milliseconds between two looks at a screen. */
const LOOK = 40
const LONGEST = 120_000

export interface Wishes {
  readonly columns?: number
  readonly rows?: number
  /** variables of the program, besides a UTF-8 locale and tmux's own TERM */
  readonly env?: Readonly<Record<string, string>>
}

/** A command on a terminal of its own, and what a person sees there. */
export interface Terminal {
  press(...keys: readonly string[]): void
  /** @returns the screen as soon as it shows something */
  shows(what: string | RegExp): Promise<string>
  /** @returns the exit code, once the command has ended */
  ended(): Promise<number>
  /** everything that is left, without the line that says the exit code */
  text(): string
  /** the same with the escape sequences of its colours */
  coloured(): string
  /** each screen that was different from the one before */
  readonly seen: readonly string[]
  /** rows that the terminal itself wrapped */
  wrapped(): number
  isCursorShown(): boolean
  close(): void
}

let terminals = 0

/** Starts stagecraft in tmux, in a folder on the engine's machine. */
export function openTmux(engine: Engine, folder: Folder, args: readonly string[], wishes: Wishes = {}): Terminal {
  const { columns = 80, rows = 24, env = {} } = wishes
  const socket = `stagecraft-${process.pid}-${++terminals}`
  const tmux = (...words: readonly string[]) =>
    Bun.spawnSync(['tmux', '-L', socket, '-f', '/dev/null', ...words], {
      env: { ...engine.environment, TMUX_TMPDIR: tmpdir() },
    }).stdout.toString()
  const variables = Object.entries({ LANG: 'C.UTF-8', TERM: 'screen-256color', ...env }).map(
    ([name, value]) => `${name}=${value}`,
  )
  // What leads to the host would end at Ctrl-C: script(1) makes a terminal there, and gives the keys to it.
  const line = ['exec', 'env', ...variables, engine.binary(), ...args].map(quotePosix).join(' ')
  const inside = 'cd "$0" && exec env --default-signal=INT,HUP script -qefc "$1" /dev/null'
  const command = engine.argvOf(['sh', '-c', inside, folder.path, line]).map(quotePosix).join(' ')
  const shell = `${command}; echo "<exit $?>"; exec sleep 1d`
  tmux('new-session', '-d', '-x', String(columns), '-y', String(rows), shell)
  tmux('set-option', '-g', 'history-limit', '5000')
  const capture = (...how: readonly string[]) => tmux('capture-pane', '-p', '-S', '-', ...how).trimEnd()
  const withoutExit = (text: string) => text.replace(/<exit \d+>\s*$/, '').trimEnd()
  const seen: string[] = []
  const look = () => {
    const now = capture()
    if (now !== seen.at(-1)) seen.push(now)
    return now
  }
  const shows = async (what: string | RegExp) => {
    for (const latest = Date.now() + LONGEST; ; await Bun.sleep(LOOK)) {
      const text = look()
      if (typeof what === 'string' ? text.includes(what) : what.test(text)) return text
      if (Date.now() > latest || text.includes('<exit '))
        throw new Error(`the terminal does not show ${what}:\n${text}`)
    }
  }
  return {
    press: (...keys) => void tmux('send-keys', ...keys),
    shows,
    ended: async () => Number(/<exit (\d+)>/.exec(await shows(/<exit \d+>/))?.[1]),
    text: () => withoutExit(capture()),
    coloured: () => withoutExit(capture('-e')),
    seen,
    wrapped: () => capture().split('\n').length - capture('-J').split('\n').length,
    isCursorShown: () => tmux('display-message', '-p', '#{cursor_flag}').trim() === '1',
    close: () => void tmux('kill-server'),
  }
}

/** What differs from run to run is the same in each: ids, times, and the spinner. */
export function steady(text: string): string {
  return text
    .replace(/rel-\d{8}-\d{9}/g, 'rel-20261122-080225643')
    .replace(/[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏](?= (running|\d))/g, '⠹')
    .replace(/ +\d+(?:\.\d|m\d\d)s/g, '   0.0s')
}

/** Nothing that was seen flickers: what has been printed stays, and a phase that is drawn is there until it has ended. */
export function expectSteady({ seen }: Terminal): void {
  let [before, phase] = ['', '']
  for (const screen of seen) {
    const lines = screen.split('\n')
    const running = lines.findIndex((line) => / running +\d/.test(line))
    const stays = (running < 0 ? lines : lines.slice(0, running)).join('\n')
    if (phase !== '') expect(screen).toContain(phase)
    expect(screen.startsWith(before) || before === '').toBe(true)
    phase = running < 0 ? '' : (/^\w+/.exec(lines[running] ?? '')?.[0] ?? '')
    before = running < 0 ? '' : stays
  }
}
