import { beforeAll, describe, expect, test } from 'bun:test'
import { expectGolden } from '../support/golden.ts'
import { host } from '../support/lab.ts'
import { sharedFolder } from './app.ts'

const folder = sharedFolder(host('h1'), 'output')

const compose = (command: string) => `
name: ${folder.name}
services:
  web:
    build: .
    command: ["sh", "-c", ${JSON.stringify(command)}]
    stop_signal: KILL
`

/** Ids, names, times and durations differ from run to run. */
function normalise(text: string): string {
  return text
    .replaceAll(/rel-\d{8}-\d{9}/g, '<id>')
    .replaceAll(new RegExp(`${folder.name}-web-\\d+`, 'g'), '<container>')
    .replaceAll(/ +\d+(?:\.\d|m\d\d)s(?= |$)/gm, (column) => '0.0s'.padStart(column.length)) // 10.0s, 1m02s: it is busy
    .replaceAll(/^ {2}(?:web|build|push|migrate_\w+|rollout|finalize): .*\n/gm, '') // what is waited for, if that takes a while
}

beforeAll(() => {
  folder.write('Dockerfile', 'FROM busybox:1\nCOPY compose.yaml /\n')
  folder.write('.dockerignore', '.stagecraft\n')
  readyAfter('300ms')
})

const readyAfter = (time: string) =>
  folder.write('stagecraft.yml', `environments: {local: {services: {web: {rollout: {min_ready: ${time}}}}}}\n`)

describe('what a deploy prints', () => {
  test('when it is the first', async () => {
    folder.write('compose.yaml', compose('sleep 1000'))
    const ran = await folder.stagecraft(['deploy', '--version', 'v1'])
    expect(ran.code).toBe(0)
    expectGolden('commands/deploy.md', 'first', normalise(ran.stderr + ran.stdout))
  })

  test('when a container exits', async () => {
    folder.write('Dockerfile', 'FROM busybox:1\nCOPY Dockerfile /\n')
    readyAfter('20s') // a busy engine may say a while later that it has ended
    folder.write('compose.yaml', compose('echo no such table: users; exit 3'))
    const ran = await folder.stagecraft(['deploy', '--version', 'v2'])
    expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code: 5, stdout: '' })
    expectGolden('commands/deploy.md', 'failing', normalise(ran.stderr))
  })

  test('when the version is no image tag', async () => {
    const ran = await folder.stagecraft(['deploy', '--version', 'v1; rm -rf /'])
    expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code: 2, stdout: '' })
    expectGolden('commands/deploy.md', 'bad-version', ran.stderr)
  })
})
