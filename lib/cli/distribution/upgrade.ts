import { accessSync, constants, copyFileSync, linkSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { syncFolder, writeFileAtomic } from '../../system/atomic-write.ts'
import type { Exec } from '../../system/exec.ts'
import { temporaryName } from '../../system/temporaries.ts'
import { errnoOf, StagecraftError } from '../../util/errors.ts'
import { quote } from '../../util/format.ts'
import { compareVersions, SEMANTIC_VERSION } from '../../util/semantic-version.ts'
import { signatureProblem } from './minisign.ts'
import type { ReleaseSource } from './release-source.ts'
import { parseSums, SIGNATURE, SUMS, sha256, VERSION } from './sums.ts'

/** The binary that runs. */
interface Installed {
  /** absolute, without symlinks */
  readonly file: string
  readonly version: string
  readonly target: string
}

const MIB = 1024 * 1024
const MOST_PACKED = 400 * MIB
const MOST_UNPACKED = 800 * MIB
/** Milliseconds: the first start of a large file may have to read all of it. */
const FIRST_START = 60_000

/** A release whose list of checksums has the right signature. */
interface Offer {
  readonly version: string
  /** @returns a file whose checksum is the one listed */
  readonly read: (name: string, limit: number) => Promise<Buffer>
  readonly check: (name: string, bytes: Uint8Array) => void
}

/** Reads which version is offered. @throws failed (5) if it is not signed with the key */
export async function readOffer(source: ReleaseSource, key: string): Promise<Offer> {
  const list = await source.read(SUMS, MIB)
  const problem = signatureProblem(list, (await source.read(SIGNATURE, MIB)).toString(), key)
  if (problem !== undefined) throw failed(`the signature of ${SUMS} is wrong: ${problem}`)
  const sums = parseSums(list.toString())
  const check = (name: string, bytes: Uint8Array) => {
    if (sums.get(name) !== sha256(bytes)) throw failed(`${name} does not have the checksum that ${SUMS} names`)
  }
  const read = async (name: string, limit: number) => {
    if (!sums.has(name)) throw failed(`the release has no ${name}`)
    const bytes = await source.read(name, limit)
    check(name, bytes)
    return bytes
  }
  const version = (await read(VERSION, MIB)).toString().trim()
  if (!SEMANTIC_VERSION.test(version)) throw failed(`${quote(version)} is no version`)
  return { version, read, check }
}

/** @throws failed (5) if the offer is older */
export function refuseOlder({ version }: Offer, installed: Installed): void {
  if (compareVersions(version, installed.version) >= 0) return
  throw failed(`${version} is older than this, ${installed.version}`, 'To install it anyway: --force')
}

/**
 * Puts the offered binary into the place of the installed one, in one step, after it has been started once. The old one stays
 * next to it. @returns the file that is kept @throws failed (5): nothing has changed
 */
export async function install(offer: Offer, { file, target }: Installed, exec: Exec): Promise<string> {
  const folder = dirname(file)
  refuseUnwritable(folder)
  const name = `stagecraft-${target}`
  const binary = unpacked(await offer.read(`${name}.gz`, MOST_PACKED))
  offer.check(name, binary)
  const fresh = join(folder, temporaryName(basename(file), 0))
  try {
    writeFileAtomic(fresh, binary, {
      mode: (statSync(file).mode & 0o777) | 0o500,
      folderMode: 0o755,
      stem: basename(file),
    })
    await refuseBroken(fresh, offer.version, exec)
    const old = keepOld(file)
    renameSync(fresh, file)
    syncFolder(folder)
    return old
  } catch (cause) {
    if (cause instanceof StagecraftError || errnoOf(cause) === undefined) throw cause
    throw failed(cause instanceof Error ? cause.message : String(cause))
  } finally {
    rmSync(fresh, { force: true })
  }
}

function refuseUnwritable(folder: string): void {
  try {
    accessSync(folder, constants.W_OK)
  } catch {
    const hint = `Use sudo, or install it in a folder of your own: sh install.sh --into ~/.local/bin`
    throw failed(`${folder} cannot be written`, hint)
  }
}

function unpacked(packed: Buffer): Buffer {
  try {
    return gunzipSync(packed, { maxOutputLength: MOST_UNPACKED })
  } catch (cause) {
    throw failed(`the binary cannot be unpacked: ${cause instanceof Error ? cause.message : cause}`)
  }
}

async function refuseBroken(file: string, version: string, exec: Exec): Promise<void> {
  const { code, stdout, stderr } = await exec([file, '--version'], { timeout: FIRST_START })
  if (code === 0 && stdout.startsWith(`stagecraft ${version} `)) return
  const detail = stderr.trim() || stdout.trim()
  throw new StagecraftError('failed', `Cannot upgrade: the new binary does not run here (exit ${code})`, { detail })
}

/** Keeps the file as `<file>.old`, by a link where the file system has any. At no time is there none. */
function keepOld(file: string): string {
  const old = `${file}.old`
  const link = join(dirname(file), temporaryName(basename(file), -1))
  rmSync(link, { force: true })
  try {
    linkSync(file, link)
  } catch {
    copyFileSync(file, link)
  }
  renameSync(link, old)
  return old
}

function failed(reason: string, hint?: string): StagecraftError {
  return new StagecraftError('failed', `Cannot upgrade: ${reason}`, { hint })
}
