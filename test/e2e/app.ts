import { expect } from 'bun:test'
import type { Ran } from '../support/engine.ts'
import type { Container, Folder } from '../support/folder.ts'

/** A Compose service as it is written; JSON is YAML, so that nothing here needs quoting. */
export type ServiceSource = Readonly<Record<string, unknown>>

/** What a test writes into its folder: a Compose file, and what stagecraft.yml says of it. */
export type App = {
  services: Readonly<Record<string, ServiceSource>>
  /** The rest of the Compose file. */
  compose?: Readonly<Record<string, unknown>>
  /** `services:` of an environment in stagecraft.yml. Unless it says otherwise a container is ready after 300 ms. */
  settings?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  environments?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  project?: Readonly<Record<string, string>>
}

/** busybox as process 1 ignores TERM: nothing to wait for when it stops. */
export const QUICK_STOP = { stop_signal: 'SIGKILL' } as const

/** Serves one folder of a container over HTTP: any file in it can be looked at from outside. */
export const httpd = (folder: string) => ['httpd', '-f', '-p', '80', '-h', folder]

/** Runs until it is stopped. */
export const idle: ServiceSource = { image: 'busybox:1', command: ['sleep', '1d'], ...QUICK_STOP }

/** A service whose image holds one page; `writePage` writes it. */
export const page = (port: number, more: ServiceSource = {}): ServiceSource => ({
  build: './web',
  ports: [`${port}:80`],
  ...QUICK_STOP,
  ...more,
})

export function writePage(folder: Folder, text: string): void {
  folder.write('web/index.html', text)
  folder.write('web/Dockerfile', `FROM busybox:1\nCOPY index.html /www/\nCMD ${JSON.stringify(httpd('/www'))}\n`)
}

export function writeApp(folder: Folder, app: App): void {
  folder.write('compose.yaml', JSON.stringify({ services: app.services, ...app.compose }, null, 1))
  const ready = Object.keys(app.services).map((service) => [service, withMinReady(app.settings?.[service] ?? {})])
  const services = Object.fromEntries(ready)
  const environments = Object.entries(app.environments ?? { local: {} }).map(([name, environment]) => [
    name,
    { ...environment, services },
  ])
  const config = { project: app.project ?? {}, environments: Object.fromEntries(environments) }
  folder.write('stagecraft.yml', JSON.stringify(config, null, 1))
}

function withMinReady(setting: Readonly<Record<string, unknown>>): object {
  const { rollout = {}, ...rest } = setting
  return { ...rest, rollout: { min_ready: '300ms', ...Object(rollout) } }
}

/** Deploys, and fails with everything that was printed unless it ends with `code`. */
export async function deploy(folder: Folder, version: string, code = 0, more: readonly string[] = []): Promise<Ran> {
  const ran = await folder.stagecraft(['deploy', '--version', version, ...more])
  expectCode(ran, code)
  return ran
}

export function expectCode(ran: Ran, code: number): void {
  if (ran.code !== code) throw new Error(`exit ${ran.code}, not ${code}\n${ran.stdout}\n${ran.stderr}`)
}

/** @returns the services of which a container was made anew, started again, added or removed. */
export function touched(before: readonly Container[], after: readonly Container[]): string[] {
  const keys = (containers: readonly Container[]) =>
    new Map(containers.map(({ service, id, started }) => [`${id} ${started}`, service]))
  const [was, is] = [keys(before), keys(after)]
  const changed = [...was, ...is].filter(([key]) => !was.has(key) || !is.has(key))
  return [...new Set(changed.map(([, service]) => service))].sort()
}

/** Runs `change` and says which services it touched. */
export async function touchedBy(folder: Folder, change: () => Promise<unknown>): Promise<string[]> {
  const before = await folder.containers()
  await change()
  return touched(before, await folder.containers())
}

/** Waits until a page is what it should be: a container that has just started may need a moment to listen. */
export async function expectPage(folder: Folder, port: number, text: string, path = '/'): Promise<void> {
  await until(`port ${port} answers ${JSON.stringify(text)}`, async () => {
    const { body } = await folder.fetch(port, path)
    return body.trim() === text ? true : `it answers ${JSON.stringify(body)}`
  })
}

/** Polls, for at most 30 seconds, until `probe` returns true; anything else is what the error says. */
export async function until(what: string, probe: () => Promise<true | string> | true | string): Promise<void> {
  const end = Date.now() + 30_000
  for (;;) {
    const found = await probe()
    if (found === true) return
    if (Date.now() > end) throw new Error(`Waited 30 s in vain: ${what}; ${found}`)
    await Bun.sleep(100)
  }
}

type ReleaseRecord = {
  id: string
  environment: string
  version: string
  phases: Record<string, string>
  previous_id?: string
}

/** The releases in the state file, oldest first. */
export function releases(folder: Folder, file = '.stagecraft/releases.json'): ReleaseRecord[] {
  return folder.exists(file) ? JSON.parse(folder.read(file)).releases : []
}

const PHASES = ['build', 'push', 'migrate_pre', 'rollout', 'migrate_post', 'finalize']

/** Holds the newest release's phases against what they should be: all completed, or one that failed. */
export function expectPhases(folder: Folder, version: string, failed?: string): void {
  const at = failed === undefined ? PHASES.length : PHASES.indexOf(failed)
  const status = (index: number) => (index < at ? 'completed' : index === at ? 'failed' : 'skipped')
  const phases = Object.fromEntries(PHASES.map((phase, index) => [phase, status(index)]))
  expect(releases(folder).at(-1)).toMatchObject({ version, phases })
}

/** What the release keeps about itself. */
export function bundle(folder: Folder): { images: Record<string, { id: string; digest?: string }> } {
  return JSON.parse(folder.read(`.stagecraft/releases/${releases(folder).at(-1)?.id}/release.json`))
}

/** Starts a registry on the engine's machine; the project's clean-up removes it. @returns its port there. */
export async function startRegistry(folder: Folder, port: number): Promise<void> {
  const name = `${folder.name}-registry`
  const label = `com.docker.compose.project=${name}`
  expectCode(
    await folder.docker(['run', '-d', '--name', name, '--label', label, '-p', `${port}:5000`, 'registry:2']),
    0,
  )
  await until('the registry answers', async () => (await folder.fetch(port, '/v2/')).status === 200 || 'not yet')
}
