import { migrationLines } from '../../plan/format.ts'
import { planMigrate } from '../../release/migrate.ts'
import { command } from '../command.ts'
import { migrateArgs } from './migrate-arguments.ts'
import { openProjectOf, openSession } from './release-arguments.ts'

export default command({
  name: 'migrate plan',
  description: 'Show what `migrate run` would do now, database by database. Changes nothing.',
  reads: true,
  args: migrateArgs,
  examples: [
    ['stagecraft migrate plan', 'what is pending?'],
    ['stagecraft migrate plan --env prod --database main', 'in one database of prod'],
  ],
  exits: [
    [3, 'stagecraft.yml or the Compose file is invalid; files differ from what the database has applied'],
    [4, 'no such environment; no such database or file; no databases are configured'],
    [8, 'a host cannot be reached; the engine does not answer'],
    [9, 'the state cannot be read'],
  ],
  async run(args, context) {
    const project = await openProjectOf(args, context, [], { onSwarm: true })
    const migrations = await planMigrate(project, args, openSession(context, project))
    context.report.result('migrate-plan', { environment: project.environment.name, migrations }, () =>
      migrationLines(migrations),
    )
    return 0
  },
})
