import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Running } from '../support/engine.ts'
import { host, isUp } from '../support/lab.ts'
import { deploy, expectCode, httpd, QUICK_STOP, until, writeApp } from './app.ts'

const PASSWORD = 'k3Yx0wq7-not-to-be-seen'

// Compose 2.26 and 2.40: each watches in its own way.
describe.each(['h1', 'h3'] as const)('dev on %s', (where) => {
  const server = host(where)
  const folder = server.folder(`dev-${where}`)
  const project = `${folder.name}--dev`
  const name = `${folder.name}.test`
  const local = `${folder.name}.localhost`
  const here = describe.skipIf(!isUp(where))

  const page = (text: string) => folder.write('web/www/index.html', text)
  const web = {
    build: './web',
    environment: { API_TOKEN: PASSWORD },
    command: ['sh', '-c', `echo my token is $$API_TOKEN; exec ${httpd('/www').join(' ')}`],
    develop: { watch: [{ action: 'sync', path: './web/www', target: '/www' }] },
    ...QUICK_STOP,
  }
  const db = { image: 'busybox:1', command: ['sleep', '1d'], volumes: ['data:/data'], ...QUICK_STOP }
  const databases = {
    main: { migrations: { engine: 'command', service: 'db', command: ['sh', '-c', 'echo migrated >>/data/log'] } },
  }

  const ask = async (address: string) => {
    const resolve = [80, 443].flatMap((port) => ['--resolve', `${address}:${port}:${server.ip}`])
    const child = Bun.spawn(['curl', '-skL', '-m', '60', ...resolve, `http://${address}/`], { stdout: 'pipe' })
    return (await new Response(child.stdout).text()).trim()
  }
  const answers = (address: string, text: string) =>
    until(`${address} answers ${text}`, async () => {
      const said = await ask(address)
      return said === text || said
    })
  const inDev = async (...argv: string[]) => (await folder.docker(['exec', `${project}-db-1`, ...argv])).stdout
  const states = async () => {
    const { stdout } = await folder.docker([
      'ps',
      '-a',
      '--filter',
      `label=com.docker.compose.project=${project}`,
      '--format',
      '{{.Names}} {{.State}}',
    ])
    return stdout.split('\n').filter(Boolean).toSorted()
  }
  const up = async (): Promise<Running> => {
    const running = folder.startStagecraft(['dev'], { timeout: 580 })
    await until('dev is up', () => running.output().includes('Ctrl-C stops the containers') || running.output())
    return running
  }

  here('a release of the same environment on the same engine', () => {
    beforeAll(async () => {
      folder.write('web/Dockerfile', 'FROM busybox:1\nCOPY www /www\n')
      page('released')
      const settings = { web: { expose: { host: name, port: 80, tls: 'off' } } }
      writeApp(folder, {
        services: { web, db },
        compose: { volumes: { data: {} } },
        settings,
        environments: { local: { databases } },
      })
      await deploy(folder, 'v1')
      await answers(name, 'released')
    })
    afterAll(() => folder.cleanUp())

    test('is not touched, while dev builds, migrates, routes, and follows changed files; data outlives it', async () => {
      const before = await folder.containers()
      page('one')
      const first = await up()
      page('two') // it is up: nothing that is saved now is missed
      await answers(local, 'two')
      expect(first.output()).toContain(`  web  https://${local}\n`)
      await until('the log is there', () => first.output().includes('my token is •••') || first.output())
      expect(await inDev('cat', '/data/log')).toBe('migrated\n')
      const second = await folder.stagecraft(['dev'])
      expect([second.code, second.stderr]).toEqual([
        7,
        expect.stringContaining('Cannot start dev of local: another run is under way: dev by'),
      ])
      await inDev('sh', '-c', 'echo precious >/data/file')
      await first.signal('INT')
      const { code, stdout, stderr } = await first.done
      expect(code).toBe(130)
      expect(`${stdout}${stderr}`).not.toContain(PASSWORD)
      expect(await states()).toEqual([`${project}-db-1 exited`, `${project}-web-1 exited`])
      expect(await ask(local)).not.toContain('two')
      expect(await ask(name)).toBe('released')
      expect(await folder.containers()).toEqual(before)

      const third = await up()
      expect(await inDev('cat', '/data/file')).toBe('precious\n')
      await third.signal('KILL')
      await third.done
      expect(await states()).toEqual([`${project}-db-1 running`, `${project}-web-1 running`])
      const fourth = await up()
      await answers(local, 'two')
      expect(await inDev('cat', '/data/log')).toBe('migrated\nmigrated\nmigrated\n')
      await fourth.signal('TERM')
      expectCode(await fourth.done, 143)
      expect(await folder.containers()).toEqual(before)
      expectCode(await folder.stagecraft(['status']), 0)
    })
  })
})
