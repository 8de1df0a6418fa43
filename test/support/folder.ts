import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Engine, Ran, Running, RunOptions } from './engine.ts'

/** The first part of every Compose project name of this run: an interrupted run cleans up by it. */
export const RUN = process.env['STAGECRAFT_TEST_RUN'] ?? `sct-${process.pid.toString(36)}`
let folders = 0

/** A project folder on an engine's machine. Commands run in it; its name is the Compose project's. */
export type Folder = {
  name: string
  /** Its path on the engine's machine. */
  path: string
  /** Where this process finds its files. */
  here: string
  write: (file: string, content: string, mode?: number) => void
  read: (file: string) => string
  exists: (file: string) => boolean
  remove: (file: string) => void
  exec: (argv: readonly string[], options?: RunOptions) => Promise<Ran>
  show: (argv: readonly string[]) => Bun.Subprocess
  docker: (args: readonly string[], options?: RunOptions) => Promise<Ran>
  stagecraft: (args: readonly string[], options?: RunOptions) => Promise<Ran>
  startStagecraft: (args: readonly string[], options?: RunOptions) => Running
  /** The containers of the project, by service: id and start time show whether one was touched. */
  containers: () => Promise<Container[]>
  fetch: Engine['fetch']
  /** Removes the containers, networks, volumes and images of this project, and the folder. Nothing else. */
  cleanUp: () => Promise<void>
}

export type Container = { service: string; id: string; image: string; started: string; state: string }

export function makeFolder(engine: Engine, title: string): Folder {
  // The pid keeps the names of test files that run at the same time apart.
  return folderAt(engine, `${RUN}-${process.pid.toString(36)}-${++folders}-${title}`)
}

/** The project folder of that name, made if it does not exist. */
export function folderAt(engine: Engine, name: string): Folder {
  const path = join(engine.folders, name)
  const here = engine.seenHere(path)
  mkdirSync(here, { recursive: true })
  const inside = (options: RunOptions = {}) => ({ cwd: path, ...options })
  return {
    name,
    path,
    here,
    ...filesIn(here),
    exec: (argv, options) => engine.exec(argv, inside(options)),
    show: (argv) => engine.show(argv, path),
    docker: (args, options) => engine.docker(args, inside(options)),
    stagecraft: (args, options) => engine.stagecraft(args, inside(options)),
    startStagecraft: (args, options) => engine.startStagecraft(args, inside(options)),
    containers: () => containersOf(engine, name),
    fetch: engine.fetch,
    cleanUp: async () => {
      await engine.cleanUp(name)
      rmSync(here, { recursive: true, force: true })
    },
  }
}

function filesIn(here: string): Pick<Folder, 'write' | 'read' | 'exists' | 'remove'> {
  return {
    write: (file, content, mode) => {
      mkdirSync(dirname(join(here, file)), { recursive: true })
      writeFileSync(join(here, file), content)
      if (mode !== undefined) chmodSync(join(here, file), mode)
    },
    read: (file) => readFileSync(join(here, file), 'utf8'),
    exists: (file) => existsSync(join(here, file)),
    remove: (file) => rmSync(join(here, file), { recursive: true, force: true }),
  }
}

const FORMAT =
  '{{index .Config.Labels "com.docker.compose.service"}} {{.Id}} {{.Image}} {{.State.StartedAt}} {{.State.Status}}'
const INSPECT = `ids=$(docker ps -aq --filter "label=com.docker.compose.project=$0"); [ -z "$ids" ] || docker inspect --format '${FORMAT}' $ids`

async function containersOf(engine: Engine, project: string): Promise<Container[]> {
  const { stdout } = await engine.exec(['sh', '-c', INSPECT, project])
  const rows = stdout.split('\n').filter((line) => line !== '')
  const containers = rows.map((row) => {
    const [service = '', id = '', image = '', started = '', state = ''] = row.split(' ')
    return { service, id, image, started, state }
  })
  return containers.sort((a, b) => (a.service + a.id < b.service + b.id ? -1 : 1))
}
