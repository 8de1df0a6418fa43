import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { copyExample, EXAMPLES, PASSWORD, withoutNpm } from '../scenes/example.ts'
import type { Ran } from '../support/engine.ts'
import { host, isUp, LAB_DIR } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { expectCode, makeRoot, until } from './app.ts'
import { ask } from './proxied.ts'

// examples/Makefile, by make, from a laptop to a server: examples/node-postgres with its migrations and its hook.
describe.skipIf(!isUp('h1') || !isUp('h3') || Bun.which('make') === null)('plan, approve, deploy, over SSH', () => {
  const server = host('h3')
  const here = laptop('h1')
  const folder = here.folder('make')
  let domain: string

  const make = (goal: string, version: string, more: { stdin?: string; args?: string[] } = {}): Promise<Ran> => {
    const PATH = `${dirname(here.binary())}:${LAB_DIR}/bin:${process.env['PATH']}`
    const argv = ['make', ...goal.split(' '), `VERSION=${version}`, ...(more.args ?? [])]
    return folder.exec(argv, { env: { PATH }, ...(more.stdin === undefined ? {} : { stdin: more.stdin }) })
  }
  const notes = async () =>
    JSON.parse((await ask(domain, '/', [], server)).body).map(({ text }: { text: string }) => text)
  const status = async () => (await folder.stagecraft(['status'])).stdout.split('\n')[0]

  beforeAll(async () => {
    await makeRoot(server, '/srv/stagecraft')
    domain = copyExample('node-postgres', folder, 'deploy@h3')
    withoutNpm(folder)
    folder.write('Makefile', readFileSync(join(EXAMPLES, 'Makefile'), 'utf8'))
  })
  afterAll(async () => {
    await folder.stagecraft(['down', '--env', 'prod', '--yes'])
    await server.cleanUp(folder.name)
    await server.exec(['rm', '-rf', `/srv/stagecraft/${folder.name}`])
    await folder.cleanUp()
  })

  test('make release is all three, and the first deploy', async () => {
    const ran = await make('release', 'v1', { stdin: 'y\n' })
    expectCode(ran, 0)
    expect(ran.stdout).toMatch(/^Plan for prod .*: v1; no release is live/m)
    expect(ran.stdout).toContain('Deploy this to prod? [y/N] ')
    expect(ran.stdout + ran.stderr).not.toContain(PASSWORD)
    await until('the example answers', async () => (await ask(domain, '/', [], server)).status === 200 || 'not yet')
    expect(await notes()).toEqual(['the first note'])
  })

  test('an unapproved plan is not deployed, and one with changes since is refused', async () => {
    folder.write('migrations/002_more.sql', "INSERT INTO notes (text) VALUES ('more');\n")
    expectCode(await make('plan', 'v2'), 0)
    expect(folder.read('.stagecraft/prod.plan')).toContain('002_more.sql')
    expectCode(await make('approve', 'v2', { stdin: 'n\n' }), 2)
    const unapproved = await make('deploy', 'v2')
    expect([unapproved.code, unapproved.stderr]).toEqual([2, expect.stringContaining('Nothing is approved')])

    expectCode(await make('approve', 'v2', { stdin: 'y\n' }), 0)
    const source = folder.read('server.js')
    folder.write('server.js', `${source}\n// one more line\n`)
    const refused = await make('deploy', 'v2')
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('the source has changed since')])
    expect(refused.stderr).toMatch(/^make: .* Error 4$/m)
    expect([await status(), await notes()]).toEqual([expect.stringContaining('v1'), ['the first note']])

    folder.write('server.js', source)
    expectCode(await make('deploy', 'v2'), 0)
    expect(await notes()).toEqual(['the first note', 'more'])
    const dumps = await folder.exec(['sh', '-c', 'cat backups/prod/*.sql'])
    expect(dumps.stdout).toContain('the first note')
    expect(dumps.stdout).not.toContain('more')
    expectCode(await make('deploy', 'v2'), 2)
  })

  test('a plan without hooks is deployed without hooks', async () => {
    const planned = await folder.stagecraft(['plan', '--version', 'v3', '--no-hooks', '--token'])
    expect(planned.stdout).not.toContain('bin/backup')
    const deploy = ['deploy', '--version', 'v3', '--plan', planned.stdout.trimEnd().split('\n').at(-1) ?? '']
    const other = await folder.stagecraft(deploy)
    // The configuration has hooks, and the source the programs that they run.
    expect([other.code, other.stderr]).toEqual([
      4,
      expect.stringContaining('the configuration and the source have changed since'),
    ])
    const ran = await folder.stagecraft([...deploy, '--no-hooks'])
    expectCode(ran, 0)
    expect(ran.stderr).not.toContain('bin/backup')
  })

  test('make status and make rollback', async () => {
    expectCode(await make('status', 'v3'), 0)
    expectCode(await make('rollback', 'v3'), 0)
    expect(await status()).toContain('v2')
    // A migration's changes stay: without a terminal no one can confirm that.
    const refused = await make('rollback', 'v3')
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('migrations ran since then')])
  })
})
