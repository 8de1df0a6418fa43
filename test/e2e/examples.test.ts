import { describe, expect } from 'bun:test'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { copyExample, EXAMPLES, PASSWORD, withoutNpm } from '../scenes/example.ts'
import type { Folder } from '../support/folder.ts'
import { fencesOf } from '../support/golden.ts'
import { deploy, expectCode, expectPhases, releases, sharedFolders, until } from './app.ts'
import { ask, h1, lab } from './proxied.ts'

// The folders of examples/, each on a real engine, behind the real proxy. The tests change this:
// the server's name is this engine, domains are tests' own without certificates, and images that cannot be pulled here,
// and packages that cannot be installed here, have a stand-in.
const [node, django, site, worker] = sharedFolders(h1, 'node', 'django', 'static', 'worker')
const change = (folder: Folder, file: string, from: string, to: string) => {
  expect(folder.read(file)).toContain(from)
  folder.write(file, folder.read(file).replace(from, to))
}
const body = async (domain: string, path = '/', flags: readonly string[] = []) => (await ask(domain, path, flags)).body

/** `stagecraft` on the PATH of hooks, as users have it. */
const path = async () => {
  const { stdout } = await h1.exec(['sh', '-c', 'echo "$PATH"'])
  return { PATH: `${h1.binary().replace(/\/stagecraft$/, '')}:${stdout.trim()}` }
}

describe('node-postgres, with a stand-in for the package pg', () => {
  const domain = () => `${node.name}.test`
  const release = async (version: string, code = 0, env = {}) => {
    const ran = await node.stagecraft(['deploy', '--version', version], { env: { ...(await path()), ...env } })
    expectCode(ran, code)
    return ran
  }
  const dumps = () => (node.exists('backups/prod') ? readdirSync(join(node.here, 'backups/prod')).sort() : [])
  const PSQL = 'PGPASSWORD=$POSTGRES_PASSWORD exec psql -h 127.0.0.1 -U postgres "$@"'
  const psql = (...args: string[]) => ['exec', 'db', '--', 'sh', '-c', PSQL, 'psql', ...args]
  const sql = async (text: string, database = 'postgres') => {
    const ran = await node.stagecraft(psql('-tAc', text, database))
    expectCode(ran, 0)
    return ran.stdout.trim()
  }

  lab('a first deploy migrates, routes, and has nothing to back up', async () => {
    copyExample('node-postgres', node)
    withoutNpm(node)
    const { stdout, stderr } = await release('v1')
    expect(stderr).toContain('| no release is live: nothing to back up')
    expect(stdout + stderr).not.toContain(PASSWORD)
    expect(stderr).toContain('no notification is sent: SLACK_WEBHOOK is not set')
    expect(JSON.parse(await body(domain()))).toEqual([{ id: '1', text: 'the first note' }])
    expect(dumps()).toEqual([])
  })

  lab('a release that migrates dumps first; the dump, restored with psql, has the earlier data', async () => {
    node.write('migrations/002_forget.sql', 'DELETE FROM notes;\n')
    await release('v2')
    const id = releases(node).at(-1)?.id
    expect(dumps()).toEqual([`${id}.sql`])
    expect(statSync(join(node.here, `backups/prod/${id}.sql`)).mode & 0o077).toBe(0)
    expect(JSON.parse(await body(domain()))).toEqual([])
    await sql('CREATE DATABASE restored')
    const restored = psql('-qv', 'ON_ERROR_STOP=1', 'restored')
    expectCode(await node.stagecraft(restored, { stdin: node.read(`backups/prod/${id}.sql`) }), 0)
    expect(await sql('SELECT text FROM notes', 'restored')).toBe('the first note')
    await sql('DROP DATABASE restored')
  })

  lab('a dump that fails stops the release before the database is changed, and leaves no half of one', async () => {
    node.write('migrations/003_more.sql', "INSERT INTO notes (text) VALUES ('more');\n")
    const hook = node.read('bin/backup')
    change(node, 'bin/backup', '-U postgres postgres', '-U postgres no_such_database')
    const before = dumps()
    const { stderr } = await release('v3', 5)
    expect(stderr).toContain('Cannot run the hook before_migrate_pre: bin/backup ended with 1')
    expect(stderr).toContain('database "no_such_database" does not exist')
    expect(stderr).toMatch(/v2 \(rel-[\d-]+\) is still live\./)
    expect(dumps()).toEqual(before)
    expect(await sql('SELECT count(*) FROM notes')).toBe('0')
    node.write('bin/backup', hook)
  })

  lab('the newest dumps are kept', async () => {
    const before = dumps()
    await release('v3', 0, { BACKUPS: '2' })
    expect(dumps()).toHaveLength(2)
    await release('v4', 0, { BACKUPS: '2' })
    expect(dumps()).toHaveLength(2)
    expect(dumps()).not.toContain(before[0])
    expect(dumps().at(-1)).toBe(`${releases(node).at(-1)?.id}.sql`)
  })

  lab('the guide restores a dump: the schema is as it was, and the next deploy migrates again', async () => {
    node.write('migrations/004_other.sql', 'DELETE FROM notes; CREATE TABLE other (id int);\n')
    await release('v5')
    expect(await body(domain())).toBe('[]')
    const guide = readFileSync(join(EXAMPLES, '../spec/guides/backups.md'), 'utf8')
    const commands =
      fencesOf(guide)
        .at(-1)
        ?.content.replace(/rel-[\d-]+/, releases(node).at(-1)?.id ?? '') ?? ''
    expectCode(await node.exec(['sh', '-ec', commands], { env: await path() }), 0)
    expect(JSON.parse(await body(domain()))).toEqual([{ id: '2', text: 'more' }])
    expect(await sql("SELECT to_regclass('other') IS NULL")).toBe('t')
    await release('v6')
    expect(await body(domain())).toBe('[]')
  })
})

describe('django, with a stand-in for its image', () => {
  // What the Dockerfile's image has for the plan and the release: these two programs, and the same command.
  const STAND_IN = `FROM busybox:1
RUN printf '%s\\n' '#!/bin/sh' 'echo "$@"' >/bin/python && chmod +x /bin/python
RUN printf '%s\\n' '#!/bin/sh' 'exec httpd -f -p 8000 -h /www' >/bin/gunicorn && chmod +x /bin/gunicorn
RUN mkdir /www && echo ok >/www/up && echo Hello >/www/index.html
`
  lab('plans as it is, without an image', async () => {
    copyExample('django', django)
    django.write('.env.prod', `DB_PASSWORD=${PASSWORD}\nSECRET_KEY=k3y-of-the-shop-77\nDOMAIN=${django.name}.test\n`)
    const plan = await django.stagecraft(['plan', '--version', 'v1'])
    expectCode(plan, 0)
    expect(plan.stdout).toMatch(/^ {2}main +run python manage\.py migrate --noinput in a container of web$/m)
  })

  lab('migrates in the new image, then answers', async () => {
    const [, command = ''] = /^(CMD .*)$/m.exec(django.read('Dockerfile')) ?? []
    django.write('Dockerfile', `${STAND_IN}${command}\n`)
    const { stderr } = await deploy(django, 'v1')
    expect(stderr).toContain('| manage.py migrate --noinput')
    expectPhases(django, 'v1')
    expect(await body(`${django.name}.test`)).toBe('Hello')
  })
})

lab('static: a new page is live, and a rollback brings the old one back', async () => {
  const domain = copyExample('static', site)
  await deploy(site, 'v1')
  expect(await body(domain)).toContain('The first page.')
  change(site, 'public/index.html', 'first', 'second')
  const { stderr } = await deploy(site, 'v2')
  expect(stderr).toMatch(/site +rolling/)
  expect(await body(domain)).toContain('The second page.')
  expectCode(await site.stagecraft(['rollback']), 0)
  expect(await body(domain)).toContain('The first page.')
})

lab(
  'worker, with a stand-in for the package pg: a release while jobs are done loses none, and does none twice',
  async () => {
    const domain = copyExample('worker', worker)
    withoutNpm(worker)
    worker.write('.env.prod', `DB_PASSWORD=${PASSWORD}\n`)
    await deploy(worker, 'v1')
    const counts = async () => JSON.parse(await body(domain)) as { jobs: string; done: string; most: string }
    for (let job = 0; job < 40; job++) expect((await ask(domain, '/jobs', ['-X', 'POST'])).status).toBe(200)
    await until('the first job is done', async () => Number((await counts()).done) > 0 || 'none')
    change(worker, 'worker.js', 'is done`)', 'is done, by v2`)')
    const { stderr } = await deploy(worker, 'v2')
    expect(stderr).toMatch(/worker +recreate/)
    expect(stderr).toMatch(/web +rolling/)
    await ask(domain, '/jobs', ['-X', 'POST'])
    await until('all jobs are done', async () => {
      const { jobs, done, most } = await counts()
      return (jobs === '41' && done === '41' && most === '1') || `${jobs} jobs, ${done} done, at most ${most} times`
    })
    expect((await worker.stagecraft(['logs', 'worker'])).stdout).toContain('is done, by v2')
  },
)
