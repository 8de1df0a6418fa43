import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BARE, HOSTS, type HostName, isUp, LAB_DIR } from './lab.ts'
import { runCommand } from './steps.ts'

const SCRIPTS = join(import.meta.dir, '../lab')

/** Why the lab cannot run here, or undefined if it can (test/lab/lab-up says what it needs). */
export function whyNoLab(): string | undefined {
  if (process.env['STAGECRAFT_TEST_ENGINE'] === 'here') return 'STAGECRAFT_TEST_ENGINE=here'
  if (process.getuid?.() !== 0) return 'the lab needs root'
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''
  return /^VERSION_CODENAME=bookworm$/m.test(release) ? undefined : 'the lab needs Debian 12'
}

/** The hosts this run started: what it stops at its end. A host that was up before stays up. */
export class Lab {
  private readonly names: readonly HostName[]
  private readonly before: readonly HostName[]
  private starting: Promise<{ code: number; output: string }> | undefined

  constructor(names: readonly HostName[]) {
    this.names = names
    this.before = names.filter(isUp)
  }

  get startedSome(): boolean {
    return this.starting !== undefined && this.before.length < this.names.length
  }

  /** Starts hosts that are not up. From nothing it takes under a minute, warm 8 s, already up 0.2 s. */
  up(): Promise<{ code: number; output: string }> {
    const wanted = this.names.map((name) => HOSTS[name].up)
    const env = { LAB_BARE: BARE.join(' ') }
    this.starting = runCommand([join(SCRIPTS, 'lab-up'), ...wanted], { env, limit: 600 })
    return this.starting
  }

  async down(): Promise<void> {
    if (!this.startedSome) return
    await this.starting
    if (this.before.length === 0) await runCommand([join(SCRIPTS, 'lab-down')])
    else await Promise.all(this.names.filter((name) => !this.before.includes(name)).map((name) => stopHost(name)))
  }
}

async function stopHost(name: HostName): Promise<void> {
  await runCommand([join(SCRIPTS, 'lab-host'), 'stop', name])
}

/** Whether `docker` on this machine reaches an engine. */
export async function dockerAnswers(): Promise<boolean> {
  if (!Bun.which('docker')) return false
  const { code } = await runCommand(['docker', 'version', '--format', '{{.Server.Version}}'], { limit: 20 })
  return code === 0
}

export { LAB_DIR }
