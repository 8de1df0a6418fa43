import type { DatabaseConfig } from '../../config/databases.ts'
import type { Docker } from '../../docker/client.ts'
import { pendingOf, rawOf } from '../../migrations/raw.ts'
import type { Pending } from '../../plan/input.ts'
import type { Project } from '../../project/settings.ts'
import { type ErrorKind, StagecraftError } from '../../util/errors.ts'

/** Why a database is asked. */
interface Question {
  /** the last file */
  readonly to?: string | undefined
  /** for the plan of a deploy, which leaves `manual` databases alone, whatever is wrong with them */
  readonly ofDeploy?: boolean
}

/**
 * Asks databases what is pending there, over all hosts. One that cannot be asked now, as on a first deploy, is no error.
 * @throws config (3) if files differ from what was applied, or a connection string is not known
 */
export async function readPending(
  project: Project,
  engines: readonly Docker[],
  databases: readonly (readonly [name: string, config: DatabaseConfig])[],
  { to, ofDeploy = false }: Question,
): Promise<Pending> {
  const asked = databases.map(async ([name, config]) => {
    const { engine, strategy } = config.migrations
    if (engine !== 'raw') return []
    try {
      return [[name, await pendingOf(rawOf({ project, engines }, name, config), to)] as const]
    } catch (error) {
      const isHarmless = ({ kind }: StagecraftError) =>
        NOT_NOW.includes(kind) || (ofDeploy && strategy === 'manual' && kind === 'config')
      if (error instanceof StagecraftError && isHarmless(error)) return [[name, reasonOf(error)] as const]
      throw error
    }
  })
  return Object.fromEntries((await Promise.all(asked)).flat())
}

/** The database is named where the reason is printed. */
const reasonOf = ({ message }: StagecraftError): string => message.replace(/^Cannot [^:]*: /, '')

const NOT_NOW: readonly ErrorKind[] = ['unreachable', 'failed', 'locked']
