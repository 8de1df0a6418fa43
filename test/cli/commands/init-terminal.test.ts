import { afterEach, describe, expect, test } from 'bun:test'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfig } from '../../../lib/config/parse.ts'
import { scratch } from '../../support/command-line.ts'

let folder = scratch()
afterEach(() => folder.remove())

function project(services: object): void {
  folder = scratch({ 'compose.yaml': '# read by docker compose\n' })
  const model = JSON.stringify({ name: 'shop', services }).replaceAll('@', folder.path)
  const programs = { docker: `case "$*" in *config*) echo '${model}' ;; *) exit 1 ;; esac`, ssh: 'exit 255' }
  mkdirSync(join(folder.path, '.bin'))
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(folder.path, '.bin', name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(folder.path, '.bin', name), 0o755)
  }
}

const WEB = { web: { image: 'web', expose: ['3000'] } }
const NAME = 'Project name (shop): '
const HOST = 'Server to deploy to, user@host (empty: this machine): '
const DOMAIN = 'Domain of web, such as shop.example.com (empty: not yet): '

/** Types an answer at each question on a terminal, which `script` (bsdutils) gives the command: so wide that no path is cut. */
async function answer(questions: readonly (readonly [question: string, typed: string])[], cwd = folder.path) {
  const cli = join(import.meta.dir, '../../../cli.ts')
  const child = Bun.spawn(['script', '-qec', `stty cols 1000; ${process.execPath} ${cli} init`, '/dev/null'], {
    cwd,
    env: { ...process.env, PATH: `${folder.path}/.bin:${process.env['PATH']}`, TERM: 'xterm', NO_COLOR: '1' },
    stdin: 'pipe',
    stdout: 'pipe',
  })
  const waiting = [...questions]
  let [shown, from] = ['', 0]
  for await (const chunk of child.stdout) {
    shown += Buffer.from(chunk).toString()
    for (const [question, typed] of [...waiting]) {
      const at = shown.indexOf(question, from)
      if (at < 0) break
      from = at + question.length
      waiting.shift()
      child.stdin.write(typed)
      child.stdin.flush()
    }
  }
  expect(waiting).toEqual([])
  return { exit: await child.exited, shown }
}

const config = () => parseConfig(readFileSync(join(folder.path, 'stagecraft.yml'), 'utf8'))
const nothingWritten = () => expect(readdirSync(folder.path).toSorted()).toEqual(['.bin', 'compose.yaml'])

describe.skipIf(Bun.which('script') === null)('stagecraft init on a terminal', () => {
  test('asks for the name, the server and the domain', async () => {
    project(WEB)
    const { exit, shown } = await answer([
      [NAME, 'mine\r'],
      [HOST, 'deploy@web-1.example.com\r'],
      [DOMAIN, 'shop.example.com\r'],
    ])
    expect(exit).toBe(0)
    expect(shown).toContain('BAD  connection')
    expect(config().project.name).toBe('mine')
    expect(config().environments['prod']).toMatchObject({
      hosts: [{ written: 'deploy@web-1.example.com' }],
      services: { web: { expose: { host: ['shop.example.com'], port: 3000 } } },
    })
  })

  test('takes empty answers, and asks for no domain that another proxy has', async () => {
    project({ ...WEB, edge: { image: 'traefik' } })
    const { exit, shown } = await answer([
      [NAME, '\r'],
      [HOST, '\r'],
    ])
    expect([exit, shown.includes('Domain'), Object.keys(config().environments)]).toEqual([0, false, ['local']])
    expect(config().project.name).toBe('shop')
  })

  test('asks again for what cannot be used', async () => {
    project(WEB)
    const { exit, shown } = await answer([
      [NAME, 'My Shop\r'],
      ['warning: Cannot call the project "My Shop"', ''],
      [NAME, '\r'],
      [HOST, 'a@b@c\r'],
      ['warning: Cannot use the host "a@b@c"', ''],
      [HOST, '\r'],
      [DOMAIN, 'https://x\r'],
      ['warning: Cannot use the domain "https://x"', ''],
      [DOMAIN, '\r'],
    ])
    expect([exit, config().project.name, shown.match(/hint:/g)?.length]).toEqual([0, 'shop', 3])
  })

  test.each(['\x03', '\x04'])('writes nothing after %j, at whichever question', async (key) => {
    const questions = [
      [NAME, '\r'],
      [HOST, 'deploy@web-1\r'],
      [DOMAIN, 'shop.example.com\r'],
    ] as const
    for (const [at, [question]] of questions.entries()) {
      project(WEB)
      const { exit, shown } = await answer([...questions.slice(0, at), [question, key]])
      expect([exit, shown.includes('Cannot continue: no answer was given')]).toEqual([2, true])
      nothingWritten()
      folder.remove()
    }
  })

  test('asks before it writes outside the project, and says the line after a no', async () => {
    project({ up: { build: { context: '@', dockerfile: 'Dockerfile' } } })
    const inner = join(folder.path, 'inner')
    mkdirSync(inner)
    writeFileSync(join(inner, 'compose.yaml'), '')
    const start = [
      [NAME, '\r'],
      [HOST, '\r'],
    ] as const
    const ended = await answer([...start, [`.dockerignore (yes): `, '\x03']], inner)
    expect([ended.exit, readdirSync(inner)]).toEqual([2, ['compose.yaml']])
    const { exit, shown } = await answer([...start, [`.dockerignore (yes): `, 'no\r']], inner)
    expect([exit, existsSync(join(folder.path, '.dockerignore'))]).toEqual([0, false])
    expect(shown).toContain('add inner/.stagecraft/ to')
  })
})
