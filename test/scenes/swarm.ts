import { expect } from 'bun:test'
import { expectCode, type ReleaseRecord, type ServiceSource, until } from '../e2e/app.ts'
import type { Ran } from '../support/engine.ts'
import type { Folder } from '../support/folder.ts'
import { type HostName, host, isUp, LAB_NET } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'

/** Three hosts that no other test needs when the others have ended (test/run.ts): engines 28.5, 26.1 and 28.5. */
export const MANAGERS = ['h7', 'h8', 'h9'] as const
const [FIRST, , LAST] = MANAGERS

export const canSwarm = MANAGERS.every(isUp) && isUp('h1')

/** A script that removes images of a stack that no running container needs, as `docker system prune --all` does for all. */
export const LOSE = `
docker rm $(docker ps -aq --filter status=exited --filter "label=com.docker.stack.namespace=$0")
running=$(docker ps -q | xargs docker inspect --format '{{.Image}}')
docker image ls --no-trunc --format '{{.Repository}} {{.ID}}' | grep "$0-web " | while read -r _ id; do
  echo "$running" | grep -q "$id" || docker rmi -f "$id"
done
`

/** Listens on no port, and is ready when there is a file. Its container prints a word of its environment. */
export const said = (word: string, more: ServiceSource = {}): ServiceSource => ({
  image: 'busybox:1',
  command: ['sh', '-c', 'echo it says $$WORD; touch /ready; exec sleep 1d'],
  environment: { WORD: word },
  healthcheck: { test: ['CMD', 'test', '-e', '/ready'], interval: '1s', retries: 10 },
  stop_signal: 'SIGKILL',
  ...more,
  deploy: { endpoint_mode: 'dnsrr', replicas: 2, ...Object(more['deploy']) },
})

/** An application on a Swarm of three managers, deployed from a laptop. */
export class SwarmApp {
  readonly folder: Folder
  readonly stack: string
  /** the Swarm was there before, and stays */
  #isFound = false

  constructor(title: string) {
    this.folder = laptop('h1').folder(title)
    this.stack = `${this.folder.name}-prod`
  }

  /** of the configs with the state */
  get #label(): string {
    return `stagecraft.store=${this.folder.name}/prod`
  }

  async begin(): Promise<void> {
    const { docker } = host(FIRST)
    this.#isFound = (await docker(['info', '--format', '{{.Swarm.LocalNodeState}}'])).stdout.trim() === 'active'
    if (this.#isFound) return
    expectCode(await docker(['swarm', 'init', '--advertise-addr', addressOf(FIRST)]), 0)
    const { stdout: token } = await docker(['swarm', 'join-token', '--quiet', 'manager'])
    for (const name of MANAGERS.slice(1))
      expectCode(await host(name).docker(['swarm', 'join', '--token', token.trim(), `${addressOf(FIRST)}:2377`]), 0)
    await until('all three are ready', async () => {
      const { stdout } = await docker(['node', 'ls', '--format', '{{.Status}}'])
      return (
        stdout
          .trim()
          .split('\n')
          .filter((status) => status === 'Ready').length === MANAGERS.length || stdout
      )
    })
  }

  async end(): Promise<void> {
    if (this.#isFound) {
      const { docker } = host(LAST) // tests cut off the first one
      await docker(['stack', 'rm', this.stack])
      const { stdout } = await docker(['config', 'ls', '--filter', `label=${this.#label}`, '--format', '{{.Name}}'])
      await docker(['config', 'rm', `stagecraft-${this.stack}`, ...stdout.split('\n').filter(Boolean)])
      await this.#removeImages()
      return this.folder.cleanUp()
    }
    await Promise.all(MANAGERS.map((name) => host(name).docker(['swarm', 'leave', '--force'])))
    // The tasks end with the Swarm.
    for (const name of MANAGERS)
      await until(`${name} has no task left`, async () => {
        const { stdout } = await host(name).docker(['ps', '-q', '--filter', 'label=com.docker.swarm.task'])
        return stdout.trim() === '' || stdout
      })
    await this.#removeImages()
    await this.folder.cleanUp()
  }

  /** The images that were sent to the managers. One that a stopped task used may stay. */
  async #removeImages(): Promise<void> {
    const script = 'docker rmi -f $(docker image ls -q --filter "reference=$0-*")'
    await Promise.all(MANAGERS.map((name) => host(name).exec(['sh', '-c', script, this.stack])))
  }

  /** @param more settings of the environment @param project those of the project */
  write(
    services: Readonly<Record<string, ServiceSource>>,
    compose: object = {},
    more: object = {},
    project: object = {},
  ): void {
    this.folder.write('compose.yaml', JSON.stringify({ services, ...compose }))
    const ready = Object.keys(services).map((name) => [name, { rollout: { strategy: 'rolling', min_ready: '300ms' } }])
    const hosts = MANAGERS.map((name) => `root@${name}`)
    const prod = { engine: 'swarm', hosts, services: Object.fromEntries(ready), ...more }
    const config = { project: { name: this.folder.name, ...project }, environments: { prod } }
    this.folder.write('stagecraft.yml', JSON.stringify(config))
  }

  deploy(version: string, more: readonly string[] = []): Promise<Ran> {
    return this.folder.stagecraft(['deploy', '--version', version, ...more])
  }

  /** What the Swarm keeps, oldest first. */
  async releases(folder = this.folder): Promise<ReleaseRecord[]> {
    const ran = await folder.stagecraft(['releases', 'list', '--json'])
    expectCode(ran, 0)
    return JSON.parse(ran.stdout.split('\n')[0] ?? '').releases.toReversed()
  }

  /** The ids of the tasks that are to run, by service: the same ones run where nothing was replaced. */
  async tasks(from: HostName = FIRST): Promise<Record<string, string[]>> {
    const format = '{{.Name}} {{.ID}}'
    const filter = ['--filter', 'desired-state=running', '--no-trunc', '--format', format]
    const { stdout } = await host(from).docker(['stack', 'ps', ...filter, this.stack])
    const found: Record<string, string[]> = {}
    for (const line of stdout.trim().split('\n')) {
      const [, service = '', id = ''] = /_([^_.]+)\.\S+ (\S+)$/.exec(line) ?? []
      if (service !== '') found[service] = [...(found[service] ?? []), id].toSorted()
    }
    return found
  }

  /** What all tasks of a service that run now have said. */
  async says(service: string): Promise<string[]> {
    const ran = await this.folder.stagecraft(['logs', service, '--json'])
    expectCode(ran, 0)
    const lines = ran.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    return [...new Set(lines.map(({ line }: { line: string }) => line))]
  }

  /** `status` says that everything is as released. */
  async isWell(): Promise<void> {
    const ran = await this.folder.stagecraft(['status'])
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('as released')])
  }

  /** The same, once Swarm has restarted the tasks of a lost node elsewhere. */
  async becomesWell(): Promise<void> {
    await until('all is as released', async () => {
      const { code, stdout } = await this.folder.stagecraft(['status'])
      return code === 0 || stdout
    })
  }
}

function addressOf(name: HostName): string {
  return `${LAB_NET}.1${name.slice(1)}`
}
