import { calendars, cronFields, parseCron } from '../../util/cron.ts'
import { StagecraftError } from '../../util/errors.ts'

/** A job that a host runs by a schedule. */
export interface Entry {
  readonly service: string
  readonly schedule: string
  /** milliseconds */
  readonly timeout?: number
  /** the id of the container that is started; a container of another release has another one */
  readonly container: string
}

/** Where entries run, and whose they are. */
export interface Where {
  /** the Compose project */
  readonly project: string
  /** `unix:///var/run/docker.sock` */
  readonly endpoint: string
  /** the docker command of the host */
  readonly docker: string
}

/** What is written is read by a shell, by cron and by systemd: no letter of it means anything else to one of them. */
const PLAIN = /^[A-Za-z0-9/._:-]+$/

/**
 * @returns what starts a job for a shell, unless one of its runs is not over yet. Nothing in it is secret, and nothing has to be
 * quoted
 */
function commandOf({ service, container, timeout }: Entry, { project, endpoint, docker }: Where): string {
  for (const text of [service, container, project, endpoint, docker])
    if (!PLAIN.test(text))
      throw new StagecraftError('config', `Cannot schedule ${service}: ${text} is not a plain name`)
  const labels = { project, service, oneoff: 'False' }
  const filters = Object.entries(labels).map(([name, value]) => `--filter label=com.docker.compose.${name}=${value}`)
  const seconds = timeout === undefined ? undefined : Math.ceil(timeout / 1000)
  const limit = `{ timeout ${seconds} $d wait $i; case $? in 124|143) $d stop $i;; esac; }`
  return [
    `d="${docker} -H ${endpoint}"; i=${container};`,
    `{ [ -z "$($d ps -q ${filters.join(' ')})" ] && $d start $i`,
    `${seconds === undefined ? '' : `&& ${limit}`}; } >/dev/null 2>&1`,
  ].join(' ')
}

/** Stands in each line of a project, whatever its engine. */
export function cronMark(project: string): string {
  return `# stagecraft ${project} unix:`
}

/** Ends each line of a project on an engine, and no other: a user may have two engines. */
export function cronEnd({ project, endpoint }: Pick<Where, 'project' | 'endpoint'>): string {
  return `# stagecraft ${project} ${endpoint}`
}

/** @returns the lines of a crontab. */
export function cronLines(entries: readonly Entry[], where: Where): string[] {
  return entries.map((entry) => `${cronFields(scheduleOf(entry))} ${commandOf(entry, where)} ${cronEnd(where)}`)
}

/** Begins the names of a project's units, and of no others: a project's name has no colon. */
export function unitPrefix(project: string): string {
  return `stagecraft:${project}:`
}

/** @returns the units of systemd: a name, the text of the service and that of the timer for each. */
export function units(entries: readonly Entry[], where: Where): string[] {
  return entries.flatMap((entry) => {
    const { service } = entry
    const name = `${unitPrefix(where.project)}${service}`
    const title = `${service} of ${where.project}, written by stagecraft`
    const command = commandOf(entry, where).replaceAll('$', '$$$$')
    return [
      name,
      `[Unit]\nDescription=${title}\n\n[Service]\nType=oneshot\nExecStart=/bin/sh -c '${command}'\n`,
      [
        `# ${unitLine(entry)}`,
        '[Unit]',
        `Description=${title}`,
        '',
        '[Timer]',
        ...calendars(scheduleOf(entry)).map((calendar) => `OnCalendar=${calendar}`),
        'AccuracySec=1s',
        '',
        '[Install]',
        'WantedBy=timers.target',
        '',
      ].join('\n'),
    ]
  })
}

/** @returns what the first line of a timer says, by which it is known. */
export function unitLine({ service, schedule, container }: Entry): string {
  return `${service} ${cronFields(scheduleOf({ service, schedule }))} ${container}`
}

function scheduleOf({ service, schedule }: Pick<Entry, 'service' | 'schedule'>) {
  const parsed = parseCron(schedule)
  if (typeof parsed === 'string') throw new StagecraftError('config', `Cannot schedule ${service}: it ${parsed}`)
  return parsed
}
