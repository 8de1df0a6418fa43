import type { Folder } from '../support/folder.ts'
import type { Application, Version } from './app.ts'

/** What the engine has of the application. */
export interface View {
  readonly containers: readonly Inspected[]
  readonly networks: readonly string[]
  readonly volumes: readonly string[]
  /** anonymous volumes in which `web` left its mark; undefined where they cannot be read */
  readonly marked: number | undefined
  /** the id of the image that the version was built as */
  readonly webImage: string
  /** what is in the database's volume */
  readonly data: string
}

interface Inspected {
  readonly Id: string
  readonly Name: string
  readonly Image: string
  readonly State: { readonly Status: string; readonly ExitCode: number; readonly Health?: { readonly Status: string } }
  readonly Config: { readonly Env: readonly string[] | null; readonly Labels: Readonly<Record<string, string>> }
}

const SCRIPT = `
mine="label=com.docker.compose.project=$0"
ids=$(docker ps -aq --filter "$mine")
if [ "$ids" ]; then docker inspect $ids; else echo '[]'; fi
echo ---; docker network ls --filter "$mine" --format '{{.Name}}'
echo ---; docker volume ls --filter "$mine" --format '{{.Name}}'
root=$(docker info --format '{{.DockerRootDir}}')
echo ---; if [ -r "$root/volumes" ]; then ls -d "$root"/volumes/*/_data/"$0" 2>/dev/null; else echo '?'; fi
echo ---; docker image inspect --format '{{.Id}}' "$0-web:$1"
echo ---; docker exec "$0-db-1" cat /data/file
`

/** What a look at the engine needs of a folder: the name of its Compose project, and how to run something there. */
type Looked = { readonly folder: Pick<Folder, 'name' | 'exec'> }

export async function viewOf({ folder }: Looked, version: string): Promise<View> {
  const { stdout, stderr } = await folder.exec(['sh', '-c', SCRIPT, folder.name, version], { timeout: 120 })
  const [containers = '', networks = '', volumes = '', marked = '', webImage = '', data = ''] = stdout.split('---\n')
  const lines = (text: string) => text.split('\n').filter(Boolean)
  if (!containers.startsWith('[')) throw new Error(`Cannot look at the engine: ${stderr}`)
  return {
    containers: JSON.parse(containers),
    networks: lines(networks),
    volumes: lines(volumes),
    marked: marked === '?\n' ? undefined : lines(marked).length,
    webImage: webImage.trim(),
    data: data.trim(),
  }
}

export function idOf({ containers }: View, service: string): string | undefined {
  return containers.find(({ Config }) => Config.Labels['com.docker.compose.service'] === service)?.Id
}

/** @returns what differs from the version, each in a sentence; nothing if nothing does. */
export function differences(view: View, { folder }: Application, version: Version, db: string | undefined): string[] {
  const expected = ['api', 'db', ...(version.extra ? ['extra'] : []), 'setup', 'web']
  const wanted = expected.map(
    (service) => `/${folder.name}-${service}-1 ${service === 'setup' ? 'exited 0' : 'running'}`,
  )
  const runs = view.containers.map(
    ({ Name, State }) => `${Name} ${State.Status}${State.Status === 'exited' ? ` ${State.ExitCode}` : ''}`,
  )
  const container = (service: string) => view.containers.find(({ Id }) => Id === idOf(view, service))
  return [
    ...unequal('containers', runs.sort(), wanted.sort()),
    ...unequal('networks', view.networks, [`${folder.name}_default`]),
    ...unequal('volumes', view.volumes, [`${folder.name}_data`]),
    ...(view.marked === undefined ? [] : unequal('anonymous volumes of web', view.marked, 1)),
    ...unequal('the image of web', container('web')?.Image, view.webImage),
    ...unequal(
      'VERSION of api',
      container('api')?.Config.Env?.find((one) => one.startsWith('VERSION=')),
      `VERSION=${version.name}`,
    ),
    ...(db === undefined ? [] : unequal('the container of db', idOf(view, 'db'), db)),
    ...unequal('the data of db', view.data, 'precious'),
  ]
}

export function unequal(what: string, is: unknown, wanted: unknown): string[] {
  const [a, b] = [JSON.stringify(is), JSON.stringify(wanted)]
  return a === b ? [] : [`${what}: ${a}, not ${b}`]
}
