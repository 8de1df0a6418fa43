// Compiles the binaries: `bun build.ts` for this machine, `bun build.ts --all` for every target, with SHA-256 sums.
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { version } from './package.json'

const DIST = join(import.meta.dir, 'dist')

/** What `--all` builds. Bun fetches the runtime of another target from the npm registry, once. */
const TARGETS = [
  'bun-linux-x64',
  'bun-linux-arm64',
  'bun-linux-x64-musl',
  'bun-linux-arm64-musl',
  'bun-darwin-x64',
  'bun-darwin-arm64',
] as const

type Target = (typeof TARGETS)[number]

/** Variables of the runtime that must be found in it, to be written over. */
const DEAF_TO = ['BUN_OPTIONS', 'BUN_BE_BUN', 'BUN_INSPECT']

const { values } = parseArgs({ options: { all: { type: 'boolean', default: false } } })
mkdirSync(DIST, { recursive: true })
await compile(thisMachine(), 'stagecraft')
if (values.all) await compileAll()

async function compileAll(): Promise<void> {
  const names = TARGETS.map((target) => `stagecraft-${target.slice('bun-'.length)}`)
  for (const [at, target] of TARGETS.entries()) await compile(target, names[at] ?? target)
  const sums = names.map((name) => `${sha256(join(DIST, name))}  ${name}\n`)
  writeFileSync(join(DIST, 'SHA256SUMS'), sums.join(''))
  print('dist/SHA256SUMS')
}

/**
 * One binary. Bytecode and splitting make it start fast: a command's code is loaded when it is called. Without the two
 * autoload settings a binary reads `.env` of the folder it runs in and executes the preload of a `bunfig.toml` there.
 */
async function compile(target: Target, name: string): Promise<void> {
  const outfile = join(DIST, `.${name}-${process.pid}`)
  await Bun.build({
    entrypoints: [join(import.meta.dir, 'cli.ts')],
    minify: true,
    bytecode: true,
    format: 'esm',
    splitting: true,
    define: {
      BUILD_VERSION: JSON.stringify(version),
      BUILD_COMMIT: JSON.stringify(commit()),
      BUILD_TARGET: JSON.stringify(target),
    },
    compile: {
      // This machine's own binary is made of the Bun that runs this file: nothing to fetch.
      ...(target === thisMachine() ? {} : { target }),
      outfile,
      autoloadDotenv: false,
      autoloadBunfig: false,
    },
  })
  if (target.startsWith('bun-linux')) deafen(outfile)
  // Whoever runs or copies the old binary meanwhile keeps a whole one.
  renameSync(outfile, join(DIST, name))
  print(`dist/${name}`)
}

/**
 * Has the runtime ask for variables that nobody sets, by the length of a name: BUN_OPTIONS would load any code into the binary,
 * BUN_BE_BUN make it another program (SECURITY.md). The compiler has no setting for it. On macOS a signature covers these bytes.
 */
function deafen(file: string): void {
  const bytes = readFileSync(file)
  const found = new Set<string>()
  for (let at = bytes.indexOf('BUN_'); at >= 0; at = bytes.indexOf('BUN_', at + 4)) {
    for (const name of DEAF_TO) if (bytes.toString('latin1', at, at + name.length) === name) found.add(name)
    if (/[A-Z]/.test(String.fromCharCode(bytes[at + 4] ?? 0))) bytes.write('NUB_', at, 'latin1')
  }
  const lacking = DEAF_TO.filter((name) => !found.has(name))
  if (lacking.length > 0)
    throw new Error(`Cannot take ${lacking.join(', ')} out of ${file}: this Bun knows no such name`)
  writeFileSync(file, bytes)
  chmodSync(file, 0o755)
}

function thisMachine(): Target {
  // The name of the C library's loader stands in the first page of the Bun that runs this file.
  const musl = Buffer.from(readFileSync(process.execPath).subarray(0, 4096)).includes('/ld-musl-')
  const libc = musl ? '-musl' : ''
  const name = `bun-${process.platform}-${process.arch}${libc}`
  const target = TARGETS.find((known) => known === name)
  if (!target) throw new Error(`Cannot build for this machine: ${name} is none of ${TARGETS.join(', ')}`)
  return target
}

/** The commit that is built, `-dirty` if the tree holds more than it, `unknown` outside git. */
function commit(): string {
  const head = git('rev-parse', '--short=7', 'HEAD')
  if (head === undefined) return 'unknown'
  return git('status', '--porcelain') === '' ? head : `${head}-dirty`
}

function git(...args: string[]): string | undefined {
  if (!Bun.which('git')) return undefined
  const { exitCode, stdout } = Bun.spawnSync(['git', ...args], { cwd: import.meta.dir, stderr: 'ignore' })
  return exitCode === 0 ? stdout.toString().trim() : undefined
}

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
