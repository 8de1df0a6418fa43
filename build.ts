// Compiles the binaries: `bun build.ts` for this machine, `bun build.ts --all` for every target, with SHA-256 checksums, and
// `bun build.ts --release` makes dist/release with all that a release consists of (spec/core/distribution.md).
import { createHash, createPrivateKey, type KeyObject } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
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

/** What `upgrade` trusts, and where it looks. */
interface Pinned {
  readonly publicKey?: string | undefined
  readonly releases?: string | undefined
}

/** Variables that the runtime must not read. Their names are overwritten in the binary. */
const DEAF_TO = ['BUN_OPTIONS', 'BUN_BE_BUN', 'BUN_INSPECT']

const { values } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    release: { type: 'boolean', default: false },
    targets: { type: 'string' },
    key: { type: 'string' },
    url: { type: 'string' },
  },
})
mkdirSync(DIST, { recursive: true })
if (values.release) await makeRelease()
else {
  await compile(thisMachine(), 'stagecraft')
  if (values.all) await compileAll()
  await writeManPage()
}

/** The checksums and their signature are written last: a folder without them is not finished. */
async function makeRelease(): Promise<void> {
  const [{ sealRelease }, { releaseTexts }, { publicKeyOf }, { COMMANDS }] = await Promise.all([
    import('./lib/cli/distribution/sums.ts'),
    import('./lib/cli/distribution/texts.ts'),
    import('./lib/cli/distribution/minisign.ts'),
    import('./lib/cli/commands/table.ts'),
  ])
  const targets = values.targets === undefined ? TARGETS : values.targets.split(',').map(targetNamed)
  const key = values.key === undefined ? undefined : readKey(values.key)
  const pinned = { publicKey: key && publicKeyOf(key), releases: releasesUrl(values.url) }
  const read = (path: string) => readFileSync(join(import.meta.dir, path), 'utf8')
  const texts = await releaseTexts({
    ...pinned,
    commands: COMMANDS,
    lock: JSON.parse(read('package-lock.json')),
    changelog: read('CHANGELOG.md'),
    schema: read('spec/stagecraft.schema.json'),
    outputSchema: read('spec/output.schema.json'),
    installer: read('install.sh'),
    license: read('LICENSE'),
  })
  const folder = join(DIST, 'release')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  for (const target of targets) await compile(target, `release/${fileOf(target)}`, pinned)
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text)
  sealRelease(folder, key ? { version, key } : { version })
  print(`dist/release: ${version} (${commit()}), ${targets.length} targets`)
  print(pinned.publicKey ? `signed; public key ${pinned.publicKey}` : 'not signed: --key <file> names the private key')
  if (!pinned.releases) print('install.sh and upgrade will need --from: --url <address> writes where releases are')
}

function targetNamed(name: string): Target {
  const target = TARGETS.find((known) => known === `bun-${name}`)
  if (target) return target
  throw new Error(`Cannot build ${name}: it is none of ${TARGETS.map((known) => known.slice(4)).join(', ')}`)
}

/** @returns an Ed25519 key in PEM, as `openssl genpkey -algorithm ed25519` makes it */
function readKey(file: string): KeyObject {
  if ((statSync(file).mode & 0o077) !== 0) throw new Error(`Cannot use ${file}: others can read it (chmod 600)`)
  const key = createPrivateKey(readFileSync(file))
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`Cannot use ${file}: it is no Ed25519 key`)
  return key
}

function releasesUrl(text: string | undefined): string | undefined {
  if (text === undefined || /^https?:\/\/./.test(text)) return text
  throw new Error(`Cannot use --url ${text}: it is no address such as https://downloads.example.com/stagecraft`)
}

function fileOf(target: Target): string {
  return `stagecraft-${target.slice('bun-'.length)}`
}

async function compileAll(): Promise<void> {
  const names = TARGETS.map(fileOf)
  for (const [at, target] of TARGETS.entries()) await compile(target, names[at] ?? target)
  const sums = names.map((name) => `${sha256(join(DIST, name))}  ${name}\n`)
  writeFileSync(join(DIST, 'SHA256SUMS'), sums.join(''))
  print('dist/SHA256SUMS')
}

/** The help of all commands as stagecraft(1). */
async function writeManPage(): Promise<void> {
  const [{ manPage }, { COMMANDS }] = await Promise.all([
    import('./lib/cli/man.ts'),
    import('./lib/cli/commands/table.ts'),
  ])
  writeFileSync(join(DIST, 'stagecraft.1'), await manPage(COMMANDS, version))
  print('dist/stagecraft.1')
}

/**
 * Compiles one binary. Bytecode and splitting make it start fast: a command's code is loaded when the command is called. Without
 * the two autoload settings a binary reads `.env` in the current folder and executes the preload of a `bunfig.toml` there.
 */
async function compile(target: Target, name: string, pinned: Pinned = {}): Promise<void> {
  const outfile = join(DIST, `.${basename(name)}-${process.pid}`)
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
      BUILD_KEY: JSON.stringify(pinned.publicKey ?? ''),
      BUILD_RELEASES: JSON.stringify(pinned.releases ?? ''),
    },
    compile: {
      // The binary for this machine contains the Bun that runs this file: nothing to fetch.
      ...(target === thisMachine() ? {} : { target }),
      outfile,
      autoloadDotenv: false,
      autoloadBunfig: false,
    },
  })
  if (target.startsWith('bun-linux')) deafen(outfile)
  // A process that runs or copies the old binary meanwhile keeps the whole old file.
  renameSync(outfile, join(DIST, name))
  print(`dist/${name}`)
}

/**
 * Renames the runtime's `BUN_…` variables in the binary to `NUB_…`, which nobody sets: BUN_OPTIONS would load any code into it,
 * BUN_BE_BUN make it another program (SECURITY.md). The compiler has no setting for this. On macOS a signature covers these bytes.
 */
function deafen(file: string): void {
  const bytes = readFileSync(file)
  const found = new Set<string>()
  for (let at = bytes.indexOf('BUN_'); at >= 0; at = bytes.indexOf('BUN_', at + 4)) {
    for (const name of DEAF_TO) if (bytes.toString('latin1', at, at + name.length) === name) found.add(name)
    if (/[A-Z]/.test(String.fromCharCode(bytes[at + 4] ?? 0))) bytes.write('NUB_', at, 'latin1')
  }
  const lacking = DEAF_TO.filter((name) => !found.has(name))
  if (lacking.length > 0) throw new Error(`Cannot disable ${lacking.join(', ')} in ${file}: this Bun has no such name`)
  writeFileSync(file, bytes)
  chmodSync(file, 0o755)
}

function thisMachine(): Target {
  // The first page of the Bun that runs this file contains the name of the C library's loader.
  const musl = Buffer.from(readFileSync(process.execPath).subarray(0, 4096)).includes('/ld-musl-')
  const libc = musl ? '-musl' : ''
  const name = `bun-${process.platform}-${process.arch}${libc}`
  const target = TARGETS.find((known) => known === name)
  if (!target) throw new Error(`Cannot build for this machine: ${name} is none of ${TARGETS.join(', ')}`)
  return target
}

/** @returns the commit that is built, with `-dirty` if the tree has changes; `unknown` outside git */
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
