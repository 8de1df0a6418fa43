import { StagecraftError } from './errors.ts'

/** Collects the errors in a Compose file, to report all at once. Pure. */
export class Problems {
  readonly found: StagecraftError[] = []

  /** @returns the work's result, or undefined if it throws config (3), which is collected. @throws anything else */
  try<T>(work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      this.add(error)
      return undefined
    }
  }

  /** @throws an error that is not config (3) */
  add(error: unknown): void {
    if (!(error instanceof StagecraftError) || error.kind !== 'config') throw error
    if (this.found.every(({ message }) => message !== error.message)) this.found.push(error)
  }

  /** @throws config (3) if there are errors: a single one as it is, several in one message */
  refuse(): void {
    const [first, ...more] = this.found
    if (first === undefined) return
    if (more.length === 0) throw first
    const detail = byHint(this.found).flatMap(({ hint, errors }) => [
      ...errors.flatMap(({ message, detail }) => (detail ? [message, detail] : [message])),
      ...(hint ? [`  hint: ${hint.replaceAll('\n', '\n  ')}`] : []),
    ])
    throw new StagecraftError('config', `Cannot use the Compose file: ${this.found.length} errors`, {
      detail: detail.join('\n'),
      hint: 'Nothing has been changed. `docker compose config` prints the file as Compose understands it.',
    })
  }
}

/** Errors with the same hint are printed together, with the hint once. */
function byHint(errors: readonly StagecraftError[]): { hint: string | undefined; errors: StagecraftError[] }[] {
  const groups = new Map<string | undefined, StagecraftError[]>()
  for (const error of errors) groups.set(error.hint, [...(groups.get(error.hint) ?? []), error])
  return [...groups].map(([hint, errors]) => ({ hint, errors }))
}
