// Dispatch and exit codes. `--version` is answered before anything else is loaded.

// The bundler's definitions (build.ts). Run from source there are none.
declare const BUILD_VERSION: string | undefined
declare const BUILD_COMMIT: string | undefined
declare const BUILD_TARGET: string | undefined

const argv = process.argv.slice(2)
process.exit(argv.length === 1 && argv[0] === '--version' ? await printVersion() : await runCommand())

async function printVersion(): Promise<number> {
  const built =
    typeof BUILD_VERSION === 'string' && typeof BUILD_COMMIT === 'string' && typeof BUILD_TARGET === 'string'
      ? `${BUILD_VERSION} (${BUILD_COMMIT}, ${BUILD_TARGET})`
      : `${(await import('./package.json')).version} (source)`
  try {
    await Bun.write(Bun.stdout, `stagecraft ${built}\n`)
    return 0
  } catch (error) {
    const { errnoOf } = await import('./lib/errors.ts')
    return errnoOf(error) === 'EPIPE' ? 141 : 9
  }
}

async function runCommand(): Promise<number> {
  const [{ dispatch }, { COMMANDS }] = await Promise.all([
    import('./lib/dispatch.ts'),
    import('./lib/commands/table.ts'),
  ])
  return dispatch({ argv, env: process.env, commands: COMMANDS })
}
