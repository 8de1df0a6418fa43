import type { Docker } from '../../docker/client.ts'
import { askEndpoint } from '../../docker/engine/facts.ts'
import type { Scheduler } from '../../plan/input.ts'
import { programError, StagecraftError } from '../../util/errors.ts'
import type { Host } from '../host.ts'
import { answersOf } from '../scripts/state.ts'
import { cronEnd, cronLines, cronMark, type Entry, unitLine, unitPrefix, units } from './entries.ts'
import { LOOK_SCHEDULES, WRITE_CRONTAB, WRITE_UNITS } from './scripts.ts'

/** What a look at a host found. */
export interface Schedules {
  /** or why nothing there can run a job, with what to do about it */
  readonly scheduler: Scheduler | { readonly lacks: string; readonly hint: string; readonly detail?: string }
  readonly user: string
  /** by the host's clock: `2026-11-22 03:00`, and the name of its time zone */
  readonly time: string
  readonly zone: string
  /** the lines of the project, as `cronLines` and `unitLine` write them */
  readonly lines: readonly string[]
}

/** Where the entries of a project are. */
interface Place {
  readonly host: Host
  readonly docker: Docker
  /** the Compose project */
  readonly project: string
}

/** @throws unreachable (8) */
export async function lookAtSchedules({ host, docker, project }: Place): Promise<Schedules> {
  const here = host.isLocal ? (await askEndpoint(docker)) || 'a way that docker does not say' : '' // never by a guess
  const said = answersOf((await host.run(LOOK_SCHEDULES, [here, cronMark(project), unitPrefix(project)])).stdout)
  const [endpoint = '', command = '', user = ''] = [said('endpoint')[0], said('docker')[0], said('user')[0]]
  const [, time = '', zone = ''] = /^(\S+ \S+) ?(.*)$/.exec(said('time')[0] ?? '') ?? []
  const scheduler = choose({ said, endpoint, command, user, isLocal: host.isLocal })
  return { scheduler, user, time, zone, lines: said('line') }
}

interface Facts {
  readonly said: (word: string) => string[]
  readonly endpoint: string
  readonly command: string
  readonly user: string
  readonly isLocal: boolean
}

/** Cron where it runs: it needs no rights, and is the same for all users. */
function choose({ said, endpoint, command, user, isLocal }: Facts): Schedules['scheduler'] {
  if (!/^unix:\/\/\/[A-Za-z0-9/._-]+$/.test(endpoint))
    return {
      lacks: `its engine is reached by ${endpoint || 'nothing'}, not by a plain socket`,
      hint: isLocal
        ? 'Jobs run on the machine of the engine: give the environment `hosts:`.'
        : 'Start the engine there, and let the user of `hosts:` use its socket.',
    }
  if (!/^\/[A-Za-z0-9/._-]+$/.test(command))
    return { lacks: 'it has no docker command, which starts the jobs there', hint: 'Install the docker command there.' }
  const scheduler = { user, endpoint, docker: command }
  const [crontab] = said('crontab')
  const runs = said('cron').length > 0
  if (crontab === 'yes' && runs) return { by: 'cron', ...scheduler }
  const [systemd] = said('systemd')
  if (systemd === 'yes') return { by: 'systemd', ...scheduler }
  if (systemd === 'lingers-not')
    return {
      lacks: `no cron runs there, and the timers of ${user} end when nobody is logged in`,
      hint: `Install cron there (apt install cron), or let the timers run: sudo loginctl enable-linger ${user}.`,
    }
  const [refusal] = said('refuses')
  if (refusal !== undefined)
    return {
      lacks: `the crontab of ${user} cannot be read`,
      detail: refusal,
      hint: `Let ${user} use crontab there (/etc/cron.allow).`,
    }
  return {
    lacks: crontab === 'yes' ? 'its cron does not run' : 'it has neither cron nor systemd',
    hint: crontab === 'yes' ? 'Start it there: service cron start.' : 'Install cron there: apt install cron.',
  }
}

/** @returns what runs jobs on a host. @throws config (3) with what to install, unreachable (8) */
async function findScheduler(place: Place): Promise<Scheduler> {
  return requireScheduler(await lookAtSchedules(place), place.host)
}

/** @returns what was found to run jobs on a host. @throws config (3) with what to install */
export function requireScheduler({ scheduler }: Pick<Schedules, 'scheduler'>, host: Host): Scheduler {
  if ('by' in scheduler) return scheduler
  const where = host.isLocal ? 'this machine' : host.name
  throw new StagecraftError('config', `Cannot run jobs by a schedule on ${where}: ${scheduler.lacks}`, {
    detail: scheduler.detail,
    hint: `${scheduler.hint} Nothing has been changed.`,
  })
}

/**
 * Makes a host run exactly these jobs of a project. May be repeated.
 * @param before what ran its jobs until now @returns what runs them now; undefined: there are none
 * @throws config (3), failed (5), unreachable (8)
 */
export async function writeSchedules(
  place: Place,
  entries: readonly Entry[],
  before: Scheduler | undefined,
): Promise<Scheduler | undefined> {
  const now = entries.length === 0 ? undefined : await findScheduler(place)
  const { host, project } = place
  if (before && (before.by !== now?.by || before.endpoint !== now.endpoint))
    await write(host, { ...before, project }, [])
  if (now) await write(host, { ...now, project }, entries)
  return now
}

async function write(host: Host, where: Scheduler & { project: string }, entries: readonly Entry[]): Promise<void> {
  const { project } = where
  const result =
    where.by === 'cron'
      ? await host.run(WRITE_CRONTAB, [cronEnd(where), cronLines(entries, where).join('\n')])
      : await host.run(WRITE_UNITS, [unitPrefix(project), ...units(entries, where)])
  if (result.code === 0) return
  const on = host.isLocal ? '' : ` on ${host.name}`
  throw programError(`write the schedules of ${project}${on}`, { ...result, argv: [where.by] })
}

/** @returns the services whose schedule the host does not have as it was written. */
export function missingEntries(
  { lines }: Pick<Schedules, 'lines'>,
  entries: readonly Entry[],
  where: Scheduler & { readonly project: string },
): string[] {
  const expected = (entry: Entry) => (where.by === 'cron' ? cronLines([entry], where)[0] : unitLine(entry))
  return entries.filter((entry) => !lines.includes(expected(entry) ?? '')).map(({ service }) => service)
}
