import { commandProblem } from '../../compose/load.ts'
import type { ComposeModel } from '../../compose/model.ts'
import type { DatabaseConfig } from '../../config/databases.ts'
import type { Environment } from '../../config/parse.ts'
import { secretsInText } from '../../secrets/find.ts'
import type { Exec } from '../../system/exec.ts'
import { StagecraftError } from '../../util/errors.ts'

/** @returns secrets that stand in commands of migrations, such as the password of an address */
export function secretsOfCommands({ databases = {} }: Pick<Environment, 'databases'>): string[] {
  return Object.values(databases).flatMap(({ migrations }) =>
    migrations.engine === 'command' ? secretsInText([migrations.command].flat().join(' ')) : [],
  )
}

/** @throws config (3) for migrations that the services of the Compose file cannot run */
export async function checkDatabases(
  exec: Exec,
  { databases = {}, services }: Pick<Environment, 'databases' | 'services'>,
  model: ComposeModel,
  directory: string,
): Promise<void> {
  const jobs = new Map<string, string>()
  for (const [name, database] of Object.entries(databases)) {
    const { migrations } = database
    if (migrations.engine === 'job') {
      const why = notAJob(migrations, { model, services, other: jobs.get(migrations.service) })
      if (why !== undefined) throw refuse(name, migrations.service, why)
      jobs.set(migrations.service, name)
    }
    if (migrations.engine === 'command' && typeof migrations.command === 'string') {
      const problem = await commandProblem(exec, migrations.command, directory)
      if (problem !== undefined)
        throw new StagecraftError('config', `Cannot use the command of database ${name}: ${problem}`, {
          hint: 'Compose splits a text into words, as a shell does with quotes. A list of words needs no quotes.',
        })
    }
  }
}

interface JobFacts extends Pick<Environment, 'services'> {
  readonly model: ComposeModel
  /** the database that has this job already */
  readonly other: string | undefined
}

/** @returns why a service is not run as a migration instead of in the rollout; undefined: it can be */
function notAJob(
  { service, strategy }: Extract<DatabaseConfig['migrations'], { engine: 'job' }>,
  { model, services, other }: JobFacts,
): { readonly why: string; readonly hint: string } | undefined {
  const command = 'To run a command in a container of its image, use the engine `command`.'
  if (other !== undefined) return { why: `it migrates ${other} already`, hint: command }
  if (services[service]?.expose) return { why: 'it is exposed, so it serves requests', hint: command }
  const waiting = Object.entries(model.services).flatMap(([name, { depends_on = {} }]) => {
    const condition = depends_on[service]?.condition
    return condition === undefined ? [] : [{ name, condition }]
  })
  const forever = waiting.find(({ condition }) => condition !== 'service_completed_successfully')
  if (forever) return { why: `${forever.name} waits until it runs (${forever.condition})`, hint: command }
  if (strategy !== 'pre_deploy' && waiting[0])
    return {
      why: `${waiting[0].name} waits until it has completed, but its strategy is ${strategy}`,
      hint: 'Use the strategy pre_deploy, or take it out of `depends_on`.',
    }
  return undefined
}

function refuse(name: string, service: string, { why, hint }: { why: string; hint: string }): StagecraftError {
  return new StagecraftError('config', `Cannot run ${service} as the migrations of ${name}: ${why}`, { hint })
}
