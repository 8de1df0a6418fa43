import { CLIENT_VERSIONS } from '../../docker/engine/facts.ts'
import type { Exec } from '../../system/exec.ts'
import { StagecraftError } from '../../util/errors.ts'
import { attempt } from './attempt.ts'
import { type Check, ok } from './check.ts'

/** @returns a check of each program of this machine */
export async function programs(exec: Exec): Promise<Check[]> {
  const found = await Promise.all(
    PROGRAMS.map(({ what, argv, find, remedy }) =>
      attempt(
        what,
        async () => {
          const { code, stdout, stderr } = await exec(argv, { timeout: 20_000 })
          const version = find.exec(stdout + stderr)?.[1]
          if (code === 0 && version !== undefined) return version
          throw new StagecraftError('unreachable', 'it is not installed, or does not run', {
            detail: `${stdout}${stderr}`.trim().split('\n')[0],
            hint: remedy,
          })
        },
        (version) => version,
      ),
    ),
  )
  return found.map(({ check }) => (check.what === 'git' && !check.ok ? NO_GIT : check))
}

const PLUGIN = 'Install the plugin: docker-compose-plugin and docker-buildx-plugin of Docker, or of the distribution.'

const PROGRAMS = [
  { what: 'docker', argv: CLIENT_VERSIONS.docker, find: /version ([^,\s]+)/, remedy: 'Install the docker command.' },
  { what: 'docker compose', argv: CLIENT_VERSIONS.compose, find: /^v?(\d\S*)/m, remedy: PLUGIN },
  { what: 'docker buildx', argv: CLIENT_VERSIONS.buildx, find: /\bv?(\d+\.\d\S*)/, remedy: PLUGIN },
  { what: 'ssh', argv: ['ssh', '-V'], find: /^(\S+?),? /m, remedy: 'Install OpenSSH.' },
  { what: 'git', argv: ['git', '--version'], find: /version (\S+)/, remedy: '' },
] as const

/** Without git a version is the time of the deploy, unless --version is given. */
const NO_GIT = ok('git', 'not installed: versions are named by the time')
