import { chooseHosts } from '../../project/live.ts'
import type { Settings } from '../../project/settings.ts'
import { type AccessLine, type AccessWish, describeAccess, followAccess, readAccess } from '../../proxy/access-log.ts'
import { publicRoutes } from '../../proxy/maintenance.ts'
import { parseDuration } from '../../util/duration.ts'
import { StagecraftError } from '../../util/errors.ts'
import { quote } from '../../util/format.ts'
import { namesHint } from '../../util/nearest.ts'
import type { Context } from '../command.ts'
import { followPrinting, nameColumn } from './log-lines.ts'

/** Which requests. */
interface Asked {
  readonly services: readonly string[]
  readonly follow: boolean
  readonly lines: string
  readonly since: string | undefined
  readonly until: string | undefined
  readonly host: string | undefined
}

/** Prints the requests to an environment. @returns the exit code @throws not-found (4) */
export async function showAccess(settings: Settings, asked: Asked, context: Context): Promise<number> {
  const { project, routes, hosts } = publicRoutes(settings)
  const chosen = chooseHosts(settings, asked.host).filter((host) => hosts.includes(host))
  const logged = chosen.length > 0 ? routes.filter(({ rules }) => rules?.access_log).map(({ service }) => service) : []
  if (logged.length === 0)
    throw new StagecraftError(
      'not-found',
      `Cannot find an access log of ${settings.environment.name}: no route has one`,
      {
        hint: 'Give `expose` of a service `access_log: true` in stagecraft.yml, and deploy.',
      },
    )
  for (const service of asked.services)
    if (!logged.includes(service))
      throw new StagecraftError('not-found', `Cannot find an access log of ${quote(service)}`, {
        hint: namesHint('Services with `access_log`', service, logged),
      })
  const services = asked.services.length > 0 ? asked.services : logged
  const wish: AccessWish = {
    project,
    services,
    tail: asked.lines,
    since: timeOf(asked.since, context.clock()),
    until: timeOf(asked.until, context.clock()),
  }
  const several = chosen.length > 1
  const column = nameColumn(context, services, Math.max(...services.map(({ length }) => length)))
  const print = (line: AccessLine) =>
    context.report.result('access', line, () => {
      const name = several ? `${line.host} ${line.service}` : line.service
      return [`${column(line.service, name)} | ${describeAccess(line)}`]
    })
  const { mask } = context.report.secrets
  if (asked.follow) return followPrinting(context, print, (how) => followAccess(chosen, { mask, ...how }, wish))
  for (const line of await readAccess(chosen, mask, wish)) print(line)
  return context.outputFailed() ? 141 : 0
}

/** @returns milliseconds since the epoch */
function timeOf(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined
  const ago = parseDuration(text)
  return ago === undefined ? Date.parse(text) : now - ago
}
