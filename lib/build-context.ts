import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import dockerignore from '@balena/dockerignore'
import type { ComposeModel } from './compose.ts'
import { isInside } from './content.ts'
import { StagecraftError } from './errors.ts'

/** What must not be copied into an image. Paths are absolute. */
export interface Forbidden {
  /** what is excluded as a whole, if the build context holds it */
  readonly path: string
  /** what is in it, or itself: a pattern may exclude a folder and let some of it in again */
  readonly holds: readonly string[]
}

/**
 * `COPY . .` would put state and secrets into the image, and change its id at every deploy (tried).
 * @throws config (3) with the line to add, where a build context holds one of them and does not exclude it
 */
export function refuseLeakyContexts(model: ComposeModel, forbidden: readonly Forbidden[]): void {
  for (const [service, { build }] of Object.entries(model.services)) {
    if (!build || !existsSync(build.context)) continue // a URL, or Compose says so itself
    const context = realpathSync(build.context)
    const ignoreFile = ignoreFileOf(context, build.dockerfile ?? 'Dockerfile')
    const matcher = dockerignore().add(ignoreFile === undefined ? '' : readFileSync(ignoreFile, 'utf8'))
    for (const { path, holds } of forbidden) {
      const inside = holds.filter((held) => isInside(context, held)).map((held) => relative(context, held))
      const leaked = inside.filter((held) => !matcher.ignores(held))
      if (leaked.length === 0) continue
      const whole = path !== context && isInside(context, path)
      throw leak(
        service,
        context,
        whole ? [relative(context, path)] : leaked,
        ignoreFile ?? join(context, '.dockerignore'),
      )
    }
  }
}

/** BuildKit prefers `<Dockerfile>.dockerignore` to the context's own. */
export function ignoreFileOf(context: string, dockerfile: string): string | undefined {
  return [`${resolve(context, dockerfile)}.dockerignore`, join(context, '.dockerignore')].find((path) =>
    existsSync(path),
  )
}

function leak(service: string, context: string, paths: readonly string[], ignoreFile: string): StagecraftError {
  const lines = paths.map((path) => `\`${path}\``).join(' and ')
  return new StagecraftError('config', `Cannot build ${service}: ${paths.join(', ')} would be copied into its image`, {
    hint: `Add the line ${lines} to ${ignoreFile} (its build context is ${context}); \`stagecraft init\` does it for the state.`,
  })
}
