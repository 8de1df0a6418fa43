import { deploy, httpd, idle, QUICK_STOP, writeApp, writePage } from '../e2e/app.ts'
import type { Engine } from '../support/engine.ts'
import type { Folder } from '../support/folder.ts'

/** The outcome of a deployed version. A bad one never becomes ready: it is undone. */
export type Fate = 'good' | 'unhealthy' | 'web-exits' | 'api-exits' | 'job-fails'
export const BAD_FATES: readonly Fate[] = ['unhealthy', 'web-exits', 'api-exits', 'job-fails']

/** One version of the application, as it is written into its folder. */
export interface Version {
  readonly name: string
  readonly fate: Fate
  /** a service that not every version has: a release without it has something to retire, the next one to create */
  readonly extra: boolean
  /** `extra` pulls its image at every deploy */
  readonly pulls?: boolean
}

/** The application that the faults are injected into. */
export interface Application {
  readonly engine: Engine
  readonly folder: Folder
  readonly port: number
}

// As in real applications: everything comes back after a restart of the engine.
const LASTING = { ...QUICK_STOP, restart: 'unless-stopped' }
const SETTINGS = { web: { rollout: { health_timeout: '60s' } } }

/**
 * `web` answers with its version and has an anonymous volume with a mark; `api` starts after it and after the job
 * `setup`, with a config file; `db` has a named volume and never changes.
 */
export function writeVersion({ folder, port }: Application, { name, fate, extra, pulls }: Version): void {
  const is = (wanted: Fate) => fate === wanted
  const VERSION = name
  const probe = is('unhealthy') ? ['CMD', 'false'] : ['CMD', 'wget', '-q', '-O', '/dev/null', 'http://127.0.0.1/']
  const mark = `touch /cache/${folder.name}; ${is('web-exits') ? 'exit 3' : 'exec "$@"'}`
  writePage(folder, name)
  folder.write('api.conf', `version = ${name}\n`)
  writeApp(folder, {
    services: {
      web: {
        ...{ build: './web', ports: [`${port}:80`], ...LASTING, volumes: ['/cache'] },
        command: ['sh', '-c', mark.replaceAll('$', '$$$$'), 'sh', ...httpd('/www')],
        healthcheck: { test: probe, interval: '300ms', timeout: '10s', retries: is('unhealthy') ? 3 : 60 },
      },
      api: {
        ...{ ...idle, ...LASTING, environment: { VERSION }, configs: [{ source: 'api', target: '/api.conf' }] },
        ...(is('api-exits') ? { command: ['sh', '-c', 'exit 4'] } : {}),
        depends_on: { web: { condition: 'service_started' }, setup: { condition: 'service_completed_successfully' } },
      },
      setup: {
        image: 'busybox:1',
        command: ['sh', '-c', is('job-fails') ? 'exit 5' : 'true'],
        environment: { VERSION },
      },
      db: { ...idle, ...LASTING, volumes: ['data:/data'] },
      ...(extra ? { extra: { ...idle, ...LASTING, ...(pulls ? { pull_policy: 'always' } : {}) } } : {}),
    },
    compose: { volumes: { data: {} }, configs: { api: { file: './api.conf' } } },
    settings: SETTINGS,
  })
}

/** Makes the application, with a file in the database's volume, and returns it with `version` live. */
export async function begin(application: Application, version: Version): Promise<void> {
  writeVersion(application, version)
  await deploy(application.folder, version.name)
  const put = ['exec', `${application.folder.name}-db-1`, 'sh', '-c', 'echo precious >/data/file']
  const { code, stderr } = await application.folder.docker(put)
  if (code !== 0) throw new Error(`Cannot write into the volume of db: ${stderr}`)
}
