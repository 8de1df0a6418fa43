import { formatDuration, formatMinute, hostTable, plainLine } from '../../util/format.ts'
import type { ScheduleStatus } from './look.ts'

const HEADER = ['JOB', 'SCHEDULE', 'NEXT', 'LAST RUN', 'RESULT', 'TOOK']
const ALIGN = ['left', 'left', 'left', 'left', 'left', 'right'] as const

/** @returns the jobs for people, with what those printed last that failed; nothing, if there are none */
export function scheduleLines(schedules: readonly ScheduleStatus[]): string[] {
  if (schedules.length === 0) return []
  const rows = schedules.map((one) => ({ host: one.host, cells: rowOf(one) }))
  const printed = schedules.flatMap(({ job, output = [] }) =>
    output.length === 0
      ? []
      : ['', `last lines of ${plainLine(job)}:`, ...output.map((line) => `  ${plainLine(line)}`)],
  )
  return [...hostTable(rows, HEADER, ALIGN), ...printed]
}

function rowOf({ job, schedule, next, zone, running_since, last }: ScheduleStatus): string[] {
  const result = last === undefined ? '-' : last.exit_code === 0 ? 'ok' : `exited (${last.exit_code})`
  return [
    ...[plainLine(job), plainLine(schedule), next ? plainLine(`${next} ${zone}`.trim()) : '-'],
    ...(running_since
      ? [formatMinute(running_since), 'running', '-']
      : [last ? formatMinute(last.started_at) : 'not yet', result, last ? formatDuration(last.duration_ms) : '-']),
  ]
}
