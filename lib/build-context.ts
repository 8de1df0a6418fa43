import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { join, relative } from 'node:path'
import dockerignore from '@balena/dockerignore'
import type { ComposeModel } from './compose.ts'
import { isInside } from './content.ts'
import { StagecraftError } from './errors.ts'

/**
 * `COPY . .` would put state and secrets into the image, and change its id at every deploy (tried).
 * @param forbidden absolute paths: the folder of the state, and this program
 * @throws config (3) with the line to add, where a build context holds one of them and does not exclude it
 */
export function refuseLeakyContexts(model: ComposeModel, forbidden: readonly string[]): void {
  for (const [service, { build }] of Object.entries(model.services)) {
    if (!build || !existsSync(build.context)) continue // a URL, or Compose says so itself
    const context = realpathSync(build.context)
    const ignoreFile = ignoreFileOf(context, build.dockerfile ?? 'Dockerfile')
    const matcher = dockerignore().add(ignoreFile === undefined ? '' : readFileSync(ignoreFile, 'utf8'))
    const leaked = forbidden.filter((path) => isInside(context, path)).map((path) => relative(context, path))
    for (const path of leaked) {
      if (path === '' || matcher.ignores(path)) continue
      throw leak(service, context, path, ignoreFile ?? join(context, '.dockerignore'))
    }
  }
}

/** BuildKit prefers `<Dockerfile>.dockerignore` to the context's own. */
function ignoreFileOf(context: string, dockerfile: string): string | undefined {
  return [join(context, `${dockerfile}.dockerignore`), join(context, '.dockerignore')].find((path) => existsSync(path))
}

function leak(service: string, context: string, path: string, ignoreFile: string): StagecraftError {
  return new StagecraftError('config', `Cannot build ${service}: ${path} would be copied into its image`, {
    hint: `Add the line \`${path}\` to ${ignoreFile} (its build context is ${context}); \`stagecraft init\` does it for the state.`,
  })
}
