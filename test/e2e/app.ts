import { afterAll, expect } from 'bun:test'
import type { Engine, Ran } from '../support/engine.ts'
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

/** Serves one page: this text, as `echo` prints it. In it, `$$NAME` is a variable of the container. */
export const echoing = (text: string) => ({
  image: 'busybox:1',
  command: ['sh', '-c', `mkdir /www; echo ${text} >/www/index.html; exec ${httpd('/www').join(' ')}`],
  ...QUICK_STOP,
})

export function writePage(folder: Folder, text: string): void {
  folder.write('web/index.html', text)
  folder.write('web/Dockerfile', `FROM busybox:1\nCOPY index.html /www/\nCMD ${JSON.stringify(httpd('/www'))}\n`)
}

/** A setting for a service that ends soon after its start, and fails the release: a busy engine may report its end late. */
export const ENDS_SOON = { rollout: { min_ready: '20s' } } as const

/** A migration that runs until there is a file `go` in the folder, for five minutes at most, and says so in its `ledger`. */
export const untilTold = (folder: string) =>
  `echo begin >>${folder}/ledger; for i in $(seq 3000); do [ -e ${folder}/go ] && break; sleep 0.1; done; echo end >>${folder}/ledger`

/** SQL that makes `SELECT until_told()` of PostgreSQL: it runs until there is a row in the table `go`, for five minutes at most. */
export const UNTIL_TOLD = `CREATE TABLE go (n int); CREATE FUNCTION until_told() RETURNS void LANGUAGE plpgsql AS 'BEGIN
  FOR i IN 1..3000 LOOP EXIT WHEN EXISTS (SELECT FROM go); PERFORM pg_sleep(0.1); END LOOP; END'`

/** A new database takes longer than three probes on a busy machine: Compose's three retries would call it unhealthy. */
export const POSTGRES_READY = {
  test: ['CMD', 'pg_isready', '-h', 'localhost', '-U', 'postgres'],
  interval: '1s',
  retries: 60,
} as const

/** A project folder for all tests of the file or `describe` that calls this: it is cleaned up after the last one. */
export const sharedFolder = (engine: Engine, title: string): Folder => sharedFolders(engine, title)[0]

/** Several of them, which are cleaned up at the same time. */
export function sharedFolders<const T extends readonly string[]>(engine: Engine, ...titles: T) {
  const folders = titles.map((title) => engine.folder(title))
  afterAll(() => Promise.all(folders.map((folder) => folder.cleanUp())))
  return folders as { [K in keyof T]: Folder } // one for each title
}

/** Makes the folder that `root:` names on a host, as `bootstrap` does. */
export const makeRoot = (engine: Engine, root: string): Promise<Ran> =>
  engine.exec(['sh', '-c', 'mkdir -p "$0" && chgrp docker "$0" && chmod 2770 "$0"', root])

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

/** Version v1 is live; its page says so. */
export async function deployVersionOne(folder: Folder, app: App): Promise<void> {
  writePage(folder, 'version one')
  writeApp(folder, app)
  await deploy(folder, 'v1')
}

export function expectCode(ran: Ran, code: number): void {
  if (ran.code !== code) throw new Error(`exit ${ran.code}, not ${code}\n${ran.stdout}\n${ran.stderr}`)
}

/** @returns the services of which a container was recreated, restarted, added or removed. */
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

/**
 * Polls until `probe` returns true; anything else is what the error says. It asks for a third of the time at most: it would hold
 * up what it waits for. @param seconds how long at most, on a busy machine
 */
export async function until(
  what: string,
  probe: () => Promise<true | string> | true | string,
  seconds = 240,
): Promise<void> {
  const end = Date.now() + seconds * 1000
  for (;;) {
    const began = Date.now()
    const found = await probe()
    if (found === true) return
    if (Date.now() > end) throw new Error(`Waited ${seconds} s in vain: ${what}; ${found}`)
    await Bun.sleep(Math.min(Math.max(100, 2 * (Date.now() - began)), 2000))
  }
}

export type ReleaseRecord = {
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

/** Checks the newest release's phases: all completed, or one that failed. */
export function expectPhases(folder: Folder, version: string, failed?: string): void {
  expectPhasesOf(releases(folder).at(-1), version, failed)
}

/** Like expectPhases, for one release. */
export function expectPhasesOf(release: ReleaseRecord | undefined, version: string, failed?: string): void {
  const at = failed === undefined ? PHASES.length : PHASES.indexOf(failed)
  const status = (index: number) => (index < at ? 'completed' : index === at ? 'failed' : 'skipped')
  const phases = Object.fromEntries(PHASES.map((phase, index) => [phase, status(index)]))
  expect(release).toMatchObject({ version, phases })
}

/** The release's own record. */
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
