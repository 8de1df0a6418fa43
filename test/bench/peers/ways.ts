import { existsSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Engine } from '../../support/engine.ts'
import type { Folder } from '../../support/folder.ts'
import { HEALTH } from '../app.ts'

/** One way to deploy the same application: what is typed, in the project's folder on the engine's machine. */
export interface Way {
  readonly name: string
  /** what has to be on the server besides Docker, in bytes */
  readonly installs: number
  readonly folder: Folder
  /** where it answers */
  readonly host: string
  readonly port: number
  /** writes the files of a version, as `git pull` would. @param bad its healthcheck never passes */
  readonly write: (version: string, bad: boolean) => void
  /** what begins, where that is not a release like any other */
  readonly first?: string
  /** the manual repair */
  readonly repair?: string
  /** what releases the files as they are, one command per line */
  readonly release: (version: string) => string
  /** what restores the release before. `git`: the files of that version come first, but for what is not in git */
  readonly back: { readonly commands: (version: string) => string; readonly git: boolean }
  /** filters for docker ps: the containers of a service */
  readonly filter: (service: string) => string
  readonly cleanUp: () => Promise<void>
}

const APPLICATION = join(import.meta.dir, '../../load/server.mjs')
const DOCKERFILE = 'FROM node:20\nCOPY server.mjs release /app/\nCMD ["node", "/app/server.mjs"]\n'
/** The simplest proxy that finds web by Docker's DNS; requests wait for 10 s where nothing answers. */
const CADDYFILE = ':80 {\n  reverse_proxy web:3000 {\n    lb_try_duration 10s\n  }\n}\n'
const IDLE = { command: ['sleep', '1d'], stop_signal: 'SIGKILL' }
const HOST = 'peers.test'

/** Leaves out docker-rollout if it is not here: nothing is downloaded for a benchmark; and Swarm, unless the engine is in one. */
export async function ways(engine: Engine): Promise<Way[]> {
  const all = [stagecraft(engine), await compose(engine)]
  const plugin = findRollout()
  if (plugin !== undefined) all.push(await rollout(engine, plugin))
  return (await hasSwarm(engine)) ? [...all, await stack(engine)] : all
}

function stagecraft(engine: Engine): Way {
  const folder = engine.folder('peers-stagecraft')
  const host = `${folder.name}.test`
  const expose = { host, port: 3000, health: '/up', tls: 'off' }
  folder.write('stagecraft.yml', JSON.stringify({ environments: { local: { services: { web: { expose } } } } }))
  const { repair: _, ...way } = ofCompose('stagecraft', folder, 80, () => ({}))
  return {
    ...way,
    installs: statSync(engine.seenHere(engine.binary()), { throwIfNoEntry: false })?.size ?? Number.NaN,
    host,
    release: (version) => `${engine.binary()} deploy --version ${version}`,
    back: { commands: () => `${engine.binary()} rollback`, git: false },
  }
}

async function compose(engine: Engine): Promise<Way> {
  const port = await engine.freePort()
  const up = () => 'docker compose up -d --build --wait'
  const way = ofCompose('docker compose up', engine.folder('peers-compose'), port, proxyOn(port))
  return { ...way, release: up, back: { commands: up, git: true } }
}

/** @returns the file of docker-rollout: that of DOCKER_ROLLOUT, or where docker looks for its plugins */
function findRollout(): string | undefined {
  const { DOCKER_ROLLOUT, DOCKER_CONFIG = join(homedir(), '.docker') } = process.env
  const folders = [DOCKER_CONFIG, '/usr/local/lib/docker', '/usr/lib/docker', '/usr/libexec/docker']
  const files = folders.map((folder) => join(folder, 'cli-plugins/docker-rollout'))
  return DOCKER_ROLLOUT || files.find((file) => existsSync(file))
}

async function rollout(engine: Engine, plugin: string): Promise<Way> {
  const port = await engine.freePort()
  const folder = engine.folder('peers-rollout')
  const [file, size] = [readFileSync(plugin, 'utf8'), statSync(plugin).size]
  folder.write('docker-rollout', file, 0o755)
  // An installed plugin is called as `docker rollout`: here it is called by its file.
  const roll = () => 'docker compose build\n./docker-rollout rollout web\ndocker compose up -d'
  const way = ofCompose('docker-rollout', folder, port, proxyOn(port))
  const first = 'docker compose up -d --build --wait'
  return { ...way, installs: size, first, release: roll, back: { commands: roll, git: true } }
}

const proxyOn = (port: number) => () => ({
  proxy: { image: 'caddy:2', ports: [`${port}:80`], volumes: ['./Caddyfile:/etc/caddy/Caddyfile:ro'] },
})

function ofCompose(name: string, folder: Folder, port: number, more: () => object) {
  const write = (version: string, bad: boolean) => {
    const environment = { VERSION: version, BAD: bad ? '1' : '0' }
    const web = { build: '.', environment, healthcheck: HEALTH, configs: [APP], secrets: ['token'] }
    const files = { configs: { app: { file: './app.conf' } }, secrets: { token: { file: './token' } } }
    const services = { web, worker: { build: '.', environment, ...IDLE }, ...more() }
    folder.write('compose.yaml', JSON.stringify({ services, ...files }))
    writeFiles(folder, version)
  }
  const filter = `label=com.docker.compose.project=${folder.name}`
  return {
    ...{ name, folder, port, write, host: HOST, installs: 0, cleanUp: () => folder.cleanUp() },
    repair: 'docker compose rm -sf web\ndocker compose up -d --wait',
    filter: (service: string) => `--filter ${filter} --filter label=com.docker.compose.service=${service}`,
  }
}

const APP = { source: 'app', target: '/app.conf' }

function writeFiles(folder: Folder, version: string): void {
  folder.write('server.mjs', readFileSync(APPLICATION, 'utf8'))
  folder.write('Dockerfile', DOCKERFILE)
  folder.write('Caddyfile', CADDYFILE)
  folder.write('.dockerignore', '*\n!server.mjs\n!release\n')
  for (const file of ['release', 'app.conf', 'token']) folder.write(file, `${version}\n`)
}

/** Swarm: configs and secrets cannot change, so each version has its own; their names are what Swarm goes back to. */
async function stack(engine: Engine): Promise<Way> {
  const port = await engine.freePort()
  const folder = engine.folder('peers-stack')
  const { name } = folder
  const update = { order: 'start-first', failure_action: 'rollback', monitor: '2s' }
  const write = (version: string, bad: boolean) => {
    const [config, secret] = [`app_${version}`, `token_${version}`]
    const common = { image: `${name}-web:${version}`, environment: { VERSION: version, BAD: bad ? '1' : '0' } }
    const deploy = { endpoint_mode: 'dnsrr', update_config: update, rollback_config: { order: 'start-first' } }
    const configs = [{ source: config, target: '/app.conf' }]
    const web = { ...common, healthcheck: HEALTH, deploy, configs, secrets: [{ source: secret, target: 'token' }] }
    const proxy = {
      ...{ image: 'caddy:2', deploy: { endpoint_mode: 'dnsrr' } },
      ports: [{ target: 80, published: port, mode: 'host' }],
      configs: [{ source: 'caddy', target: '/etc/caddy/Caddyfile' }],
    }
    const services = { web, worker: { ...common, ...IDLE, deploy: { endpoint_mode: 'dnsrr' } }, proxy }
    const files = {
      configs: { [config]: { file: './app.conf' }, caddy: { file: './Caddyfile' } },
      secrets: { [secret]: { file: './token' } },
    }
    folder.write('stack.yaml', JSON.stringify({ version: '3.9', services, ...files }))
    writeFiles(folder, version)
  }
  const deploy = `docker stack deploy --detach=false --resolve-image never -c stack.yaml ${name}`
  return {
    ...{ name: 'docker stack deploy', installs: 0, folder, host: HOST, port, write },
    release: (version) => `docker build -t ${name}-web:${version} .\n${deploy}`,
    back: {
      commands: () => `docker service rollback --detach=false ${name}_web\ndocker service rollback ${name}_worker`,
      git: false,
    },
    filter: (service) => `--filter label=com.docker.swarm.service.name=${name}_${service}`,
    async cleanUp() {
      await endStacks(engine, name)
      await folder.cleanUp()
    },
  }
}

/** A host of the lab is made a swarm, and none again at the end; any other engine is left as it is. */
async function hasSwarm(engine: Engine): Promise<boolean> {
  if (engine.name !== 'here') await engine.exec(['docker', 'swarm', 'init', '--advertise-addr', '127.0.0.1'])
  const { stdout } = await engine.exec(['docker', 'info', '--format', '{{.Swarm.LocalNodeState}}'])
  return stdout.trim() === 'active'
}

const END = `docker stack ls --format '{{.Name}}' | while read -r name; do
  case $name in "$0"*) docker stack rm "$name" ;; *) continue ;; esac
  for i in $(seq 60); do [ "$(docker ps -aq --filter "label=com.docker.stack.namespace=$name")" ] || break; sleep 1; done
done
[ "$1" = here ] || { docker swarm leave --force; docker network rm docker_gwbridge; }`

/** Removes the stacks whose names begin with this, and the swarm of a lab host. */
export async function endStacks(engine: Engine, prefix: string): Promise<void> {
  await engine.exec(['sh', '-c', END, prefix, engine.name], { timeout: 120 })
}
