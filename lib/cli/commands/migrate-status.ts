import { withConnections } from '../../migrations/connection.ts'
import { openReleaseDocker } from '../../project/session.ts'
import { releasesOf } from '../../record/releases.ts'
import { databaseLines, databaseStatuses, isWrong } from '../../status/databases.ts'
import { EXIT_CODES, StagecraftError } from '../../util/errors.ts'
import { command, environmentArgument } from '../command.ts'
import { openProjectOf, openSession } from './release-arguments.ts'

export default command({
  name: 'migrate status',
  description: 'Show what each database has applied, what is pending, and which release migrated it last.',
  reads: true,
  args: { env: environmentArgument },
  examples: [
    ['stagecraft migrate status', 'are all databases migrated?'],
    ['stagecraft migrate status --env prod --json', 'the same, for a script'],
  ],
  exits: [
    [3, 'stagecraft.yml or the Compose file is invalid'],
    [4, 'no such environment; no databases are configured'],
    [5, 'a database cannot be queried, or its files differ from what it has applied, or a file is unfinished'],
    [8, 'a host cannot be reached'],
    [9, 'the state cannot be read'],
  ],
  async run(args, context) {
    const project = await withConnections(await openProjectOf(args, context, [], { onSwarm: true }), context.report)
    const { name: environment, databases = {} } = project.environment
    if (Object.keys(databases).length === 0)
      throw new StagecraftError('not-found', `Cannot show the databases of ${environment}: none are configured`, {
        hint: 'spec/guides/migrations.md says how.',
      })
    const session = openSession(context, project)
    const engines = project.hosts.map((host) => openReleaseDocker({ ...project, host }, session))
    const { stateFile } = project
    const releases = releasesOf(stateFile, environment)
    const statuses = await databaseStatuses({ project, engines }, { stateFile, releases })
    context.report.result('migrate-status', { environment, databases: statuses }, () => databaseLines(statuses))
    return statuses.some(isWrong) ? EXIT_CODES.failed : 0
  },
})
