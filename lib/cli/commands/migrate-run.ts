import { withEnvironmentLocked } from '../../release/locked.ts'
import { migrateNow } from '../../release/migrate.ts'
import { command } from '../command.ts'
import { migrateArgs } from './migrate-arguments.ts'
import { openProjectOf, openSession, parseWait, waitArgument } from './release-arguments.ts'

export default command({
  name: 'migrate run',
  description:
    'Migrate databases now, outside a release, of any strategy. Jobs and commands run with the image of the live release.',
  args: { ...migrateArgs, wait: waitArgument },
  examples: [
    ['stagecraft migrate run --env prod --database main', 'apply what is pending in one database'],
    ['stagecraft migrate run --database main --to 0003_add_price.sql', 'not further than this file'],
  ],
  exits: [
    [3, 'stagecraft.yml or the Compose file is invalid; files differ from what the database has applied'],
    [4, 'no such environment; no such database or file; no databases are configured'],
    [5, 'a migration failed, those before it stay applied'],
    [6, 'an earlier run died, its changes could not be undone completely, and nothing was migrated'],
    [7, 'another run is under way, in the environment or in the database (stagecraft lock status)'],
    [8, 'a host cannot be reached; the engine does not answer; a database cannot be reached'],
    [9, 'the state cannot be read; the state cannot be written'],
  ],
  async run(args, context) {
    const wait = parseWait(args.wait)
    const opened = await openProjectOf(args, context, [], { onSwarm: true })
    const session = openSession(context, opened)
    const turn = { command: 'migrate run', wait }
    const migrations = await withEnvironmentLocked(opened, turn, session, async (locked) => {
      // After a wait the files are read again: they may have changed.
      const project = locked.held.waited ? await openProjectOf(args, context, opened.hosts, { onSwarm: true }) : opened
      return migrateNow(project, args, locked)
    })
    const { name: environment } = opened.environment
    const count = migrations.length === 1 ? '1 migration ran' : `${migrations.length} migrations ran`
    context.report.result('migrated', { environment, migrations }, () => [
      migrations.length === 0 ? `nothing was pending in ${environment}` : `${count} in ${environment}`,
    ])
    return 0
  },
})
