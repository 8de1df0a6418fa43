import { StagecraftError } from './errors.ts'

/** What stands in the way of a release, in the Compose file: all of it is said at once. Pure. */
export class Problems {
  readonly found: StagecraftError[] = []

  /** @returns what the work does, or undefined where it refuses with config (3): that is noted. @throws anything else */
  try<T>(work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      this.add(error)
      return undefined
    }
  }

  /** @throws what is not config (3) */
  add(error: unknown): void {
    if (!(error instanceof StagecraftError) || error.kind !== 'config') throw error
    if (this.found.every(({ message }) => message !== error.message)) this.found.push(error)
  }

  /** @throws config (3): the only one as it is, several in one message */
  refuse(): void {
    const [first, ...more] = this.found
    if (first === undefined) return
    if (more.length === 0) throw first
    const detail = this.found.map(({ message, detail, hint }) =>
      [message, detail, hint && `  hint: ${hint.replaceAll('\n', '\n  ')}`].filter(Boolean).join('\n'),
    )
    throw new StagecraftError('config', `Cannot use the Compose file: ${this.found.length} errors`, {
      detail: detail.join('\n'),
      hint: 'Nothing has been changed. `docker compose config` prints the file as it is understood.',
    })
  }
}
