import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { appendEvent } from '../bundle.ts'
import { bundleFolder } from './ref.ts'

/** @returns a function that saves the last log lines of a container before its removal, in events.jsonl */
export function logKeeper(stateFile: string, id: string, clock: { now(): number }) {
  return (container: string, lines: string) =>
    appendEvent(stateFile, id, clock.now(), { type: 'log', container, lines: lines.split('\n') })
}

/** @returns what containers printed last that a release removed or that failed, in order. @throws state (9) */
export function keptLogs(stateFile: string, id: string): { at: string; container: string; lines: string[] }[] {
  const file = join(bundleFolder(stateFile, id), 'events.jsonl')
  const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
  return text.split('\n').flatMap((line) => {
    if (!line.includes('"type":"log"')) return []
    const { at, event } = JSON.parse(line) as { at: string; event: { container: string; lines: string[] } } // as logKeeper wrote it
    return [{ at, container: String(event.container), lines: event.lines.map(String) }]
  })
}
