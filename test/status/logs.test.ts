import { expect, test } from 'bun:test'
import type { Host } from '../../lib/hosts/host.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import { followLogs, type LogLine, readLogs } from '../../lib/status/logs.ts'
import type { Exec } from '../../lib/system/exec.ts'

interface Fake {
  readonly service: string
  readonly lines: readonly string[]
}

/** A host whose containers have printed these lines, by name. */
function hostOf(name: string, containers: Readonly<Record<string, Fake>>): Host {
  const exec: Exec = async (argv, options) => {
    const said = (stdout: string) => ({ argv, code: 0, stdout, stderr: '', timedOut: false })
    if (argv[1] === 'ps') return said(Object.keys(containers).join('\n'))
    if (argv[1] === 'container') {
      const shown = Object.entries(containers).map(([id, { service }]) => ({
        Id: id,
        Name: `/${id}`,
        State: { Status: 'running' },
        Config: { Labels: { 'com.docker.compose.service': service } },
      }))
      return said(JSON.stringify(shown))
    }
    const lines = containers[argv.at(-1) ?? '']?.lines ?? []
    const tail = argv.includes('--tail') ? Number(argv[argv.indexOf('--tail') + 1]) : lines.length
    for (const line of tail === 0 ? [] : lines.slice(-tail)) options?.onLine?.(line, 'stdout')
    return said('')
  }
  return { name, exec } as Host // nothing else of it is used
}

const at = (second: number, text: string) => `2026-11-22T08:00:0${second}.000000000Z ${text}`
const wish = { project: 'shop', services: [], tail: '10', since: undefined, until: undefined }
const shown = ({ host, container, line }: LogLine) => `${host} ${container}: ${line}`

test('lines of all hosts and containers are merged by their time, masked, of the wanted services alone', async () => {
  const hosts = [
    hostOf('a', {
      'web-1': { service: 'web', lines: [at(1, 'one'), at(4, 'a hunter2hunter2')] },
      'db-1': { service: 'db', lines: [at(3, '')] },
    }),
    hostOf('b', { 'web-1': { service: 'web', lines: [at(2, 'two'), 'no time'] } }),
  ]
  const mask = createMask(['hunter2hunter2'])
  expect((await readLogs(hosts, mask, wish)).map(shown)).toEqual([
    ...['b web-1: no time', 'a web-1: one', 'b web-1: two', 'a db-1: ', 'a web-1: a •••'],
  ])
  const last = await readLogs(hosts, mask, { ...wish, services: ['web'], tail: '1' })
  expect(last.map(shown)).toEqual(['b web-1: no time', 'a web-1: a •••'])
})

test('what is followed is printed once, and a container that comes later from its first line', async () => {
  const containers: Record<string, Fake> = { 'web-1': { service: 'web', lines: [at(1, 'old'), at(2, 'last')] } }
  const printed: string[] = []
  const ended = new AbortController()
  let looks = 0
  const clock = {
    now: () => Date.UTC(2026, 10, 22, 8),
    sleep: async () => {
      await Bun.sleep(1)
      looks++
      if (looks === 2) containers['web-2'] = { service: 'web', lines: [at(3, 'new one')] }
      if (looks === 3) containers['web-1'] = { service: 'web', lines: [at(1, 'old'), at(2, 'last'), at(5, 'more')] }
      if (looks > 6) ended.abort()
    },
  }
  const how = {
    mask: createMask([]),
    clock,
    signal: ended.signal,
    print: (line: LogLine) => void printed.push(shown(line)),
  }
  await followLogs([hostOf('a', containers)], how, { ...wish, tail: '1' })
  expect(printed).toEqual(['a web-1: last', 'a web-2: new one', 'a web-1: more'])
})
