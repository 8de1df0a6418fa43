import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { scratch, stagecraft } from '../support/command-line.ts'

// A project folder for `stagecraft init`, whose docker, ssh and git are scripts.

/** The project folder of the test that runs. */
export let folder = scratch()

export const read = (file: string) => readFileSync(join(folder.path, file), 'utf8')
export const has = (file: string) => existsSync(join(folder.path, file))

/** An empty folder. */
export function empty(): void {
  folder.remove()
  folder = scratch()
}

/** A project whose `docker compose config` says this of its services. */
export function project(services: object = SERVICES, files: Readonly<Record<string, string>> = {}): void {
  folder.remove()
  folder = scratch({ 'compose.yaml': '# read by docker compose\n', ...files })
  const model = JSON.stringify({ name: 'shop', services }).replaceAll('@', folder.path)
  docker(`case "$*" in
    --version) echo 'Docker version 28.5.2, build 1' ;;
    'compose version'*) echo 2.40.3 ;;
    'buildx version') echo 'github.com/docker/buildx v0.30.1' ;;
    'image inspect'*) echo 'Cannot connect to the Docker daemon at unix:///none.' >&2; exit 1 ;;
    *'compose'*config*) cat <<'END'\n${model}\nEND\n;;
    *) exit 1 ;;
  esac\n`)
  program(
    'ssh',
    `[ "$1" = -V ] && { echo OpenSSH_9.2p1, here >&2; exit; }
    echo 'ssh: connect to host web-1.example.com port 22: Connection refused' >&2; exit 255`,
  )
  program('git', 'echo git version 2.39.5')
}

export const docker = (script: string) => program('docker', script)

export function program(name: string, script: string): void {
  mkdirSync(join(folder.path, '.bin'), { recursive: true })
  writeFileSync(join(folder.path, '.bin', name), `#!/bin/sh\n${script}`)
  chmodSync(join(folder.path, '.bin', name), 0o755)
}

export const SERVICES = {
  web: {
    build: { context: '@', dockerfile: 'Dockerfile' },
    ports: [{ target: 3000, published: '80' }],
    volumes: [{ type: 'bind', source: '@/certs', target: '/certs', read_only: true }],
  },
  db: { image: 'postgres:17', volumes: [{ type: 'volume', source: 'data', target: '/var/lib/postgresql/data' }] },
}

export const init = (...args: string[]) =>
  stagecraft(['init', ...args], {
    cwd: folder.path,
    env: { PATH: `${folder.path}/.bin:${process.env['PATH']}` },
  })
