import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { dirname } from 'node:path'
import { Guide } from '../scenes/guide.ts'
import type { Ran } from '../support/engine.ts'
import type { Folder } from '../support/folder.ts'
import { host, isUp, LAB_DIR } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { runCommand } from '../support/steps.ts'
import { expectCode, until } from './app.ts'
import { ask } from './proxied.ts'

// The guides that move an application, command by command, from this machine to a server whose ports 80 and 443 are free.
// Images are of busybox: what a guide's `build: .` makes here serves a page at the port that the guide names.
const PASSWORD = 'c0rrect-horse'
const NAMES = ['root@server.example.com', 'deploy@server.example.com', 'root@192.0.2.10']

describe.skipIf(!isUp('h7') || !isUp('h1'))('the guide', () => {
  const server = host('h7')
  const here = laptop('h1')
  const folders: Folder[] = []

  beforeAll(async () => {
    const socket = (name: string) => `docker -H unix://${LAB_DIR}/hosts/${name}/run/docker.sock`
    const script = `${socket('h1')} save postgres:15 caddy:2 busybox:1 | ${socket('h7')} load`
    const env = { PATH: `${LAB_DIR}/bin:${process.env['PATH']}` }
    const { code, output } = await runCommand(['sh', '-c', script], { env })
    if (code !== 0) throw new Error(output)
  })
  afterAll(async () => {
    // Kamal's have no Compose project, and the proxy is no longer needed: no other project has routes on this host.
    const remove =
      'docker rm -fv kamal-proxy stagecraft-proxy $(docker ps -aq --filter name=-from-kamal-); docker network rm kamal; docker rmi postgres:15 caddy:2; docker volume rm stagecraft-proxy-config stagecraft-proxy-data'
    await server.exec(['sh', '-c', remove])
    for (const folder of folders) {
      await server.cleanUp(folder.name)
      await server.exec(['sh', '-c', 'rm -rf "/var/lib/stagecraft/$0" "/srv/$0" "/root/$0-db"', folder.name])
      await folder.cleanUp()
    }
  })

  /** A project named after its folder, in which a guide is followed. `project` is what runs already. */
  function follow(name: string) {
    const folder = here.folder(name)
    folders.push(folder)
    const [domain, project] = [`${folder.name}.test`, folder.name]
    const addresses = Object.fromEntries(NAMES.map((address) => [address, 'root@h7']))
    const guide = new Guide(name, {
      ...addresses,
      'shop.example.com': domain,
      'name: shop': `name: ${folder.name}`,
      'compose_project: shop': `compose_project: ${project}`,
      '-p shop': `-p ${project}`,
      '/shop-db/': `/${folder.name}-db/`,
    })
    const env = { PATH: `${folder.here}/tools:${dirname(here.binary())}:${LAB_DIR}/bin:${process.env['PATH']}` }
    const run = async (line: string, code = 0): Promise<Ran> => {
      const ran = await folder.exec(['sh', '-ec', line], { env })
      if (ran.code !== code) throw new Error(`${line}: exit ${ran.code}, not ${code}\n${ran.stdout}\n${ran.stderr}`)
      expect(ran.stdout + ran.stderr).not.toContain(PASSWORD)
      return ran
    }
    const page = async () => (await ask(domain, '/', ['-L'], server)).body
    const answers = (text: string) => until(`${domain} answers ${text}`, async () => (await page()) === text || page())
    return { folder, project, guide, run, answers, domain }
  }

  /** What `build: .` of a guide builds: `/` and `/up` at a port, and the programs that the guide names. */
  function writeApp(folder: Folder, text: string, port = 3000): void {
    const programs = { 'bin/migrate': 'echo migrated', 'bin/rails': 'echo rails "$@"', 'bin/jobs': 'exec sleep 1d' }
    for (const [file, script] of Object.entries(programs)) folder.write(`app/${file}`, `#!/bin/sh\n${script}\n`, 0o755)
    folder.write('app/www/index.html', `${text}\n`)
    folder.write('app/www/up', 'ok\n')
    folder.write(
      'Dockerfile',
      `FROM busybox:1\nSTOPSIGNAL SIGKILL\nWORKDIR /app\nCOPY app .\nEXPOSE ${port}\nCMD ["httpd", "-f", "-p", "${port}", "-h", "/app/www"]\n`,
    )
    folder.write('.dockerignore', '*\n!app\n')
    folder.write('.gitignore', '.stagecraft/\n.env*\n')
    folder.write(
      '.env.prod',
      ['DB_PASSWORD', 'POSTGRES_PASSWORD', 'RAILS_MASTER_KEY'].map((name) => `${name}=${PASSWORD}\n`).join(''),
    )
  }

  /** On the server, in a folder of its own, as it was run before: by `docker compose`. */
  async function composeUp(folder: Folder, more: string): Promise<void> {
    const files = ['compose.yaml', 'Dockerfile', '.dockerignore', 'app', '.env.prod']
    const put = `tar -c ${files.join(' ')} | ssh root@h7 "mkdir -p /srv/${folder.name} && tar -x -C /srv/${folder.name}"`
    const env = { PATH: `${LAB_DIR}/bin:${process.env['PATH']}` }
    expectCode(await folder.exec(['sh', '-ec', put], { env }), 0)
    const up = `cd /srv/${folder.name} && cp .env.prod .env && docker compose -p ${folder.name} up -d --build --wait ${more}`
    expectCode(await server.exec(['sh', '-ec', up]), 0)
  }

  const ids = async (project: string) => {
    const format = '{{.Label "com.docker.compose.service"}} {{.Names}} {{.ID}}'
    const { stdout } = await server.docker([
      'ps',
      '--filter',
      `label=com.docker.compose.project=${project}`,
      '--format',
      format,
    ])
    return stdout.trim().split('\n').sort()
  }
  const psql = (container: string, sql: string) =>
    server.exec([
      'docker',
      'exec',
      container,
      'sh',
      '-c',
      'PGPASSWORD=$POSTGRES_PASSWORD psql -h 127.0.0.1 -U postgres -tAc "$0"',
      sql,
    ])

  // First, as it needs the ports 80 and 443 for a proxy of its own.
  test('from-kamal: stopped, deployed, with its data; and back', async () => {
    const { folder, guide, run, answers, domain } = follow('from-kamal')
    guide.write(folder)
    writeApp(folder, 'by Stagecraft', 80)
    expectCode(await folder.exec(['sh', '-c', 'git init -q .']), 0)
    // As Kamal 2 names and starts them.
    const [app, db, data] = [`${folder.name}-web-4f0c1d2`, `${folder.name}-db`, `/root/${folder.name}-db/data`]
    const httpd = (text: string) => `sh -c 'mkdir /www; echo ${text} >/www/index.html; exec httpd -f -p 80 -h /www'`
    const old = [
      'docker network inspect kamal >/dev/null 2>&1 || docker network create kamal',
      `mkdir -p ${data} && chown 999:999 ${data}`,
      `docker run -d --restart unless-stopped --name ${db} --network kamal -e POSTGRES_PASSWORD=${PASSWORD} -v ${data}:/var/lib/postgresql/data --label service=${db} postgres:15`,
      `docker run -d --stop-signal KILL --restart unless-stopped --name ${app} --network kamal --label service=${folder.name} --label role=web busybox:1 ${httpd('app')}`,
      `docker run -d --stop-signal KILL --restart unless-stopped --name kamal-proxy --network kamal -p 80:80 -p 443:443 busybox:1 ${httpd('by Kamal')}`,
    ]
    expectCode(await server.exec(['sh', '-ec', old.join('\n')]), 0)
    const container = { app, proxy: 'kamal-proxy', 'accessory db': db }
    const cases = Object.entries(container).flatMap(([what, name]) =>
      ['start', 'stop'].map(
        (verb) => `"${what.replace(/( |$)/, ` ${verb}$1`)}") exec ssh root@h7 docker ${verb} ${name} ;;`,
      ),
    )
    folder.write('tools/kamal', `#!/bin/sh\ncase "$*" in ${cases.join('\n')}\n*) exit 2 ;; esac\n`, 0o755)
    await until(
      'its database answers',
      async () => (await psql(db, 'CREATE TABLE notes (id int)')).code === 0 || 'not yet',
    )
    const inTheOpen = async () => (await ask(domain, '/', [], server)).body
    expect(await inTheOpen()).toBe('by Kamal')

    for (const line of guide.commands(0)) await run(line)
    await answers('by Stagecraft')
    const live = (await ids(`${folder.name}-prod`)).find((line) => line.startsWith('db '))?.split(' ')[1] ?? ''
    expect((await psql(live, 'SELECT count(*) FROM notes')).stdout).toBe('0\n')
    for (const line of guide.commands(1)) await run(line)
    expect(await inTheOpen()).toBe('by Kamal')
    await until(
      'its database has its data',
      async () => (await psql(db, 'SELECT count(*) FROM notes')).stdout === '0\n' || 'not yet',
    )
    expectCode(
      await server.exec([
        'sh',
        '-c',
        `docker rm -fv kamal-proxy ${app} ${db}; docker network rm kamal; docker volume ls`,
      ]),
      0,
    )
  })

  test.concurrent('first-server: from a Compose file to HTTPS, and back', async () => {
    const { folder, guide, run, answers } = follow('first-server')
    guide.write(folder, ['compose.yaml'])
    writeApp(folder, 'one')
    expectCode(await folder.exec(['sh', '-c', 'git init -q . && cp .env.prod .env']), 0)
    for (const line of guide.commands(1).filter((each) => !each.startsWith('cd '))) await run(line)
    expect(folder.read('stagecraft.yml')).toContain('hosts: ')
    guide.write(folder, ['stagecraft.yml'])
    for (const line of guide.commands(2)) {
      if (line === 'stagecraft doctor')
        expect((await run(`${line} || [ $? = 5 ]`)).stdout).not.toMatch(/^BAD (?!.*(domain|DNS|certificate))/m)
      else await run(line)
    }
    await answers('one')
    writeApp(folder, 'two')
    await run('stagecraft deploy')
    await answers('two')
    const [back = '', logs = '', list = ''] = guide.commands(3)
    await run(back)
    await answers('one')
    await run(`timeout 5 ${logs} || [ $? = 124 ] || [ $? = 143 ]`)
    expect((await run(list)).stdout.match(/completed|live/g)?.length).toBeGreaterThan(1)
    await run('stagecraft down --yes')
  })

  test.concurrent('adopting: what runs is dumped, found, taken over, and a rollback goes back to it', async () => {
    const { folder, project, guide, run } = follow('adopting')
    const compose = new Guide('first-server', {})
    compose.write(folder, ['compose.yaml'])
    writeApp(folder, 'one')
    await composeUp(folder, '')
    const before = await ids(project)
    await until(
      'the database answers',
      async () => (await psql(`${project}-db-1`, 'CREATE TABLE notes (id int)')).code === 0 || 'not yet',
    )
    expectCode(await folder.exec(['sh', '-c', 'git init -q . && cp .env.prod .env']), 0)
    const [dump = '', init = '', doctor = '', plan = ''] = guide.commands(0)
    await run(dump)
    expect(folder.read('before.sql')).toContain('CREATE TABLE public.notes')
    await run(init)
    await run(`${doctor} || [ $? = 5 ]`)
    // Under another name it is refused, with the line to add.
    guide.write(folder, ['stagecraft.yml'])
    const named = folder.read('stagecraft.yml')
    folder.write('stagecraft.yml', named.replace(/^ +compose_project: .*$/m, ''))
    const refused = await run(`${plan} || exit 99`, 99)
    expect(refused.stderr).toContain(`compose_project: ${project}`)
    folder.write('stagecraft.yml', named)
    expect((await run(plan)).stdout).toMatch(/^ +db +unchanged/m)
    const [deploy = '', rollback = ''] = guide.commands(1)
    expect((await run(deploy)).stderr).toContain('adopted')
    const after = await ids(project)
    expect(after.find((line) => line.startsWith('db '))).toBe(before.find((line) => line.startsWith('db ')) ?? '')
    await run(rollback)
    expect((await psql(`${project}-db-1`, 'SELECT count(*) FROM notes')).stdout).toBe('0\n')
    await run('stagecraft down --yes')
  })

  test.concurrent('from-compose-script: one deploy in place of the script', async () => {
    const { folder, project, guide, run, answers } = follow('from-compose-script')
    guide.write(folder)
    folder.write(
      'compose.yaml',
      folder
        .read('compose.yaml')
        .replace('image: postgres:15', `image: postgres:15\n    environment: {POSTGRES_PASSWORD: "\${DB_PASSWORD}"}`),
    )
    writeApp(folder, 'from a script')
    folder.write('bin/announce', '#!/bin/sh\necho "$STAGECRAFT_VERSION in $STAGECRAFT_ENV" >>announced\n', 0o755)
    await composeUp(folder, '')
    const before = await ids(project)
    expectCode(await folder.exec(['sh', '-c', 'git init -q . && cp .env.prod .env']), 0)
    const [deploy = ''] = guide.commands(0)
    const { stderr } = await run(deploy)
    expect(stderr).toContain('| migrated')
    await answers('from a script')
    expect(folder.read('announced')).toContain(' in prod')
    expect((await ids(project)).find((line) => line.startsWith('db '))).toBe(
      before.find((line) => line.startsWith('db ')) ?? '',
    )
    writeApp(folder, 'another')
    await run(deploy)
    await answers('another')
    expect((await run('stagecraft rollback --env prod', 2)).stderr).toContain('migrations ran since then')
    await run('stagecraft rollback --env prod --yes')
    await answers('from a script')
    await run('stagecraft down --yes')
  })

  test.concurrent('from-docker-rollout: the container that it left has another number, and is taken over', async () => {
    const { folder, project, guide, run } = follow('from-docker-rollout')
    guide.write(folder)
    writeApp(folder, 'one')
    await composeUp(folder, 'web')
    // What `docker rollout web` does: a second container, and then the first one goes.
    const name = `${project}-web-1`
    const scale = `cd /srv/${folder.name} && docker compose -p ${project} up -d --scale web=2 --no-recreate web && docker stop -t 1 ${name} && docker rm ${name}`
    expectCode(await server.exec(['sh', '-ec', scale]), 0)
    const [old = ''] = await ids(project)
    expect(old).toStartWith(`web ${project}-web-2`)
    expectCode(await folder.exec(['sh', '-c', 'git init -q .']), 0)
    writeApp(folder, 'two')
    const [plan = '', deploy = ''] = guide.commands(0)
    expect((await run(plan)).stdout).toMatch(/^ +web +rolling/m)
    await run(deploy)
    const [now = '', ...more] = await ids(project)
    expect([more, now === old]).toEqual([[], false])
    await run('stagecraft rollback')
    expect((await ids(project)).length).toBe(1)
    await run('stagecraft down --yes')
  })
})
