import type { Folder } from '../support/folder.ts'

/** Where a run is held while something happens to it: at a docker command of one phase, before or after it is done. */
export interface Hold {
  readonly phase: string
  /** a pattern of the shell for the command's arguments, with a space before and after */
  readonly command: string
  readonly when: 'before' | 'after'
}

/** Everything happens at most once in each of these; the commit point lies between switch and retire. */
export const HOLDS = {
  build: { phase: 'build', command: '* build *', when: 'before' },
  push: { phase: 'push', command: '* pull *', when: 'before' },
  prepare: { phase: 'rollout', command: '* up * extra *', when: 'after' },
  switch: { phase: 'rollout', command: '* up * web *', when: 'after' },
  retire: { phase: 'rollout', command: '* rm *', when: 'before' },
  finalize: { phase: 'finalize', command: '* ps *', when: 'before' },
} as const satisfies Record<string, Hold>

export type Step = keyof typeof HOLDS
export const STEPS = Object.keys(HOLDS) as Step[]

// A docker that comes first in PATH and calls the real one, but waits once at the given place, for at most five minutes.
// Pulls succeed: the lab has no registry.
const WRAPPER = `#!/bin/sh
PATH=\${PATH#*:}
real() { case " $* " in *' pull '*) return 0 ;; *) docker "$@" ;; esac; }
hold() {
  mkdir "$HOLD_AT/held" 2>/dev/null || return 0
  echo $$ >"$HOLD_AT/pid"
  tries=0; while [ ! -e "$HOLD_AT/go" ] && [ $tries -lt 3000 ]; do sleep 0.1; tries=$((tries + 1)); done
}
here() {
  case " $* " in $HOLD_COMMAND) ;; *) return 1 ;; esac
  grep -q "\\"$HOLD_PHASE\\": \\"running\\"" "$HOLD_STATE" 2>/dev/null
}
if here "$@"; then
  [ "$HOLD_WHEN" = after ] || hold
  real "$@"; code=$?
  [ "$HOLD_WHEN" = before ] || hold
  exit $code
fi
real "$@"
`

/** A place where a run can be held. Its files are in a folder of their own: the project's disk may be full. */
export class Holder {
  readonly #tools: Folder
  readonly #stateFile: string

  constructor(tools: Folder, stateFile: string) {
    this.#tools = tools
    this.#stateFile = stateFile
    tools.write('bin/docker', WRAPPER, 0o755)
  }

  /** @returns the environment of a run that is to be held */
  async prepare({ phase, command, when }: Hold): Promise<Record<string, string>> {
    for (const file of ['held', 'go', 'pid']) this.#tools.remove(file)
    const { stdout } = await this.#tools.exec(['sh', '-c', 'echo "$PATH"'])
    return {
      PATH: `${this.#tools.path}/bin:${stdout.trim()}`,
      ...{ HOLD_AT: this.#tools.path, HOLD_STATE: this.#stateFile },
      ...{ HOLD_PHASE: phase, HOLD_COMMAND: command, HOLD_WHEN: when },
    }
  }

  /** Waits until the run is held. @returns false if it ended before */
  async held(ended: Promise<unknown>): Promise<boolean> {
    let over = false
    void ended.then(() => {
      over = true
    })
    while (!over && !this.#tools.exists('pid')) await Bun.sleep(20)
    return !over
  }

  go(): void {
    this.#tools.write('go', '')
  }

  /** Ends just the docker command that is held. */
  async endCommand(): Promise<void> {
    await this.#tools.exec(['sh', '-c', 'kill -TERM "$(cat pid)"'])
  }
}
