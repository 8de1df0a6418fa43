import { httpd, QUICK_STOP } from '../../e2e/app.ts'
import type { Folder } from '../../support/folder.ts'
import type { HostName } from '../../support/lab.ts'
import type { Version } from '../app.ts'

/** The lab hosts of the campaign, or others of STAGECRAFT_HOSTS, so that two can run at once. The first one keeps the state. */
const [first = 'h5', second = 'h6'] = (process.env['STAGECRAFT_HOSTS'] ?? '').split(',').filter(Boolean) as HostName[]
export const NAMES = [first, second] as const

/** What the files of a checkout say in addition to the version. */
export interface Shop {
  /** project.name */
  readonly project: string
  readonly root: string
  /** values that must never be shown */
  readonly secrets: Readonly<{ PASSWORD: string; TOKEN: string }>
}

const LASTING = { ...QUICK_STOP, restart: 'unless-stopped' }
const QUICK = { rollout: { min_ready: '300ms', health_timeout: '60s' } }
const idle = { image: 'busybox:1', init: true, ...LASTING }

/**
 * `web` is built, routed and rolls on both hosts; `api` is recreated on both, with files of its own and
 * a secret in its command; `db` has a volume on the first host and never changes; some versions have `extra`,
 * the others the job `setup`, after which `api` begins: the hosts wait for each other then.
 */
export function writeShop(folder: Folder, shop: Shop, version: Version): void {
  const { name, fate, extra } = version
  const job = hasJob(version)
  const probe = fate === 'unhealthy' ? ['CMD', 'false'] : ['CMD', 'wget', '-q', '-O', '/dev/null', 'http://127.0.0.1/']
  const serve = `exec ${httpd('/www').join(' ')}`
  const command = (bad: boolean, code: number) => (bad ? `exit ${code}` : ': ${TOKEN}; exec sleep 86400')
  const end = fate === 'job-fails' ? 'exit 5' : 'true'
  const services = {
    web: {
      ...{ build: './web', ...LASTING, environment: { PASSWORD: '${PASSWORD}', VERSION: name } },
      command: ['sh', '-c', fate === 'web-exits' ? 'exit 3' : serve],
      healthcheck: { test: probe, interval: '300ms', timeout: '10s', retries: fate === 'unhealthy' ? 3 : 60 },
    },
    api: {
      ...{ ...idle, environment: { VERSION: name }, volumes: ['./conf:/conf:ro'] },
      command: ['sh', '-c', command(fate === 'api-exits', 4)],
      ...(job ? { depends_on: { setup: { condition: 'service_completed_successfully' } } } : {}),
    },
    ...(job ? { setup: { image: 'busybox:1', command: ['sh', '-c', end], environment: { VERSION: name } } } : {}),
    db: { ...idle, command: ['sleep', '86400'], volumes: ['data:/data'] },
    ...(extra ? { extra: { ...idle, command: ['sleep', '86400'], environment: { VERSION: name } } } : {}),
  }
  folder.write('compose.yaml', JSON.stringify({ services, volumes: { data: {} } }, null, 1))
  folder.write('web/index.html', name)
  folder.write('web/Dockerfile', 'FROM busybox:1\nCOPY index.html /www/\n')
  folder.write('conf/version.txt', `${name}\n`)
  folder.write(
    '.env.prod',
    Object.entries(shop.secrets)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  )
  const settings = {
    web: { expose: { host: hostOf(shop.project), port: 80, tls: 'off' }, ...QUICK },
    ...{ api: QUICK, ...(job ? { setup: QUICK } : {}), ...(extra ? { extra: QUICK } : {}) },
    db: { hosts: [NAMES[0]], ...QUICK },
  }
  const prod = { hosts: NAMES, root: shop.root, env_file: '.env.prod', keep: 4, services: settings }
  folder.write('stagecraft.yml', JSON.stringify({ project: { name: shop.project }, environments: { prod } }, null, 1))
}

/** Whether a version has the job. */
export const hasJob = ({ fate, extra }: Version) => !extra || fate === 'job-fails'

/** The name under which the proxy of each host answers for a project. */
export const hostOf = (project: string) => `${project}.test`

/** Another project on the same hosts, which nothing may touch: a page behind the proxy, with a volume. */
export function writeNeighbour(folder: Folder, project: string): void {
  const page = `echo ${project} >/data/index.html; exec ${httpd('/data').join(' ')}`
  const web = { image: 'busybox:1', command: ['sh', '-c', page], volumes: ['data:/data'], ...LASTING }
  folder.write('compose.yaml', JSON.stringify({ services: { web }, volumes: { data: {} } }))
  const expose = { host: hostOf(project), port: 80, tls: 'off' }
  const prod = { hosts: NAMES, root: `/srv/${project}`, services: { web: { hosts: NAMES, expose, ...QUICK } } }
  folder.write('stagecraft.yml', JSON.stringify({ project: { name: project }, environments: { prod } }))
}
