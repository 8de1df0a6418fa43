// Dispatch and exit codes. `--version`, `-v` and `version` are answered before anything else is loaded.

// Defined by the bundler (build.ts); undefined when run from source.
declare const BUILD_VERSION: string | undefined
declare const BUILD_COMMIT: string | undefined
declare const BUILD_TARGET: string | undefined

const argv = process.argv.slice(2)
const isVersion = argv.length === 1 && ['--version', '-v', 'version'].includes(argv[0] ?? '')
process.exit(isVersion ? await printVersion() : await runCommand())

async function printVersion(): Promise<number> {
  const built =
    typeof BUILD_VERSION === 'string' && typeof BUILD_COMMIT === 'string' && typeof BUILD_TARGET === 'string'
      ? `${BUILD_VERSION} (${BUILD_COMMIT}, ${BUILD_TARGET})`
      : `${(await import('./package.json')).version} (source)`
  try {
    await Bun.write(Bun.stdout, `stagecraft ${built}\n`)
    return 0
  } catch (error) {
    const { errnoOf } = await import('./lib/util/errors.ts')
    return errnoOf(error) === 'EPIPE' ? 141 : 9
  }
}

async function runCommand(): Promise<number> {
  const [{ dispatch }, { COMMANDS }] = await Promise.all([
    import('./lib/cli/dispatch.ts'),
    import('./lib/cli/commands/table.ts'),
  ])
  return dispatch({ argv, env: process.env, commands: COMMANDS })
}
