import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Site } from '../scenes/site.ts'
import { isUp } from '../support/lab.ts'
import { expectCode, until, writeApp, writePage } from './app.ts'

/** A value that is random and looks random. */
const canary = (kind: string, alphabet: 'hex' | 'base64' = 'base64') =>
  createHash('sha256').update(`${kind} ${process.pid}`).digest(alphabet).slice(0, 40)

/** A canary of each kind of secret: all of them are printed by the containers, the build, or docker. */
const CANARIES = {
  'env file, only in a command': canary('command'),
  'env file, under a telling name': `pa"s's\\w$(rd ${canary('telling').slice(0, 12)}`,
  'env file, by its looks': canary('looks', 'hex'),
  'password of an address': canary('address', 'hex'),
  'value in JSON': canary('json', 'hex'),
  'file of a secret': canary('file'),
  'first line of a key': canary('line 1'),
  'last line of a key': canary('line 2'),
  'secret of a variable': canary('variable'),
  'text of a config': canary('config', 'hex'),
  label: canary('label', 'hex'),
  healthcheck: canary('check', 'hex'),
  'argument of a build': canary('argument'),
} as const
const NEXT = canary('rotated')

/** @returns the kinds of which a text shows one, or ten characters of one */
function shownIn(text: string): string[] {
  const all = [...Object.entries(CANARIES), ['rotated', NEXT] as const]
  return all.flatMap(([kind, value]) => {
    const pieces = [...value].map((_, at) => value.slice(at, at + 10)).filter((piece) => piece.length === 10)
    return pieces.some((piece) => text.includes(piece)) ? [kind] : []
  })
}

// Everything that a deploy, an undo, a rollback and a recovery on a host print or keep is searched.
describe.skipIf(!isUp('h3'))('canaries', () => {
  const site = new Site('h3', 'h3', 'canaries')
  const { folder, server } = site
  const said: string[] = []
  beforeAll(async () => {
    await site.begin()
    folder.write('token.txt', CANARIES['file of a secret'])
    const [first, last] = [CANARIES['first line of a key'], CANARIES['last line of a key']]
    folder.write('key.pem', `-----BEGIN PRIVATE KEY-----\n${first}\n${last}\n-----END PRIVATE KEY-----\n`)
    folder.write('flag/none', '')
  })
  afterAll(() => site.cleanUp())

  const run = async (...args: string[]) => {
    const ran = await folder.stagecraft(args, { env: { STAGECRAFT_CANARY: CANARIES['secret of a variable'] } })
    said.push(ran.stdout, ran.stderr)
    return ran
  }

  function writeFiles(version: string, telling: string, recreate = false): void {
    const quoted = telling.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('$', '\\$')
    folder.write(
      '.env.prod',
      `COMMAND=${CANARIES['env file, only in a command']}\nAPP_PASSWORD="${quoted}"\nSEED=${CANARIES['env file, by its looks']}\n`,
    )
    writePage(folder, 'version one')
    folder.write('web/Dockerfile', 'FROM busybox:1\nARG NPM_TOKEN\nRUN echo "building with $NPM_TOKEN"\n')
    const script =
      'echo with ${COMMAND}; env; cat /run/secrets/* /app.conf; [ ! -e /flag/bad ] || exit 1; exec sleep 1d'
    const environment = {
      APP_PASSWORD: '${APP_PASSWORD}',
      ROOT: '${SEED}',
      DATABASE_URL: `postgres://app:${CANARIES['password of an address']}@db/app`,
      SETTINGS: JSON.stringify({ mail: { password: CANARIES['value in JSON'] } }),
      VERSION: version,
    }
    const web = {
      build: { context: './web', args: { NPM_TOKEN: CANARIES['argument of a build'] } },
      command: ['sh', '-c', script],
      init: true,
      stop_grace_period: '1s',
      environment,
      labels: { 'app.token': CANARIES['label'] },
      healthcheck: {
        test: ['CMD-SHELL', `echo -u app:${CANARIES['healthcheck']}; [ ! -e /flag/sick-$$VERSION ]`],
        interval: '1s',
        retries: 2,
      },
      secrets: ['token', 'key', 'variable'],
      configs: [{ source: 'app', target: '/app.conf' }],
      volumes: ['./flag:/flag'],
    }
    writeApp(folder, {
      project: { name: folder.name },
      environments: { prod: { hosts: [site.address], root: site.root, env_file: '.env.prod' } },
      services: { web },
      settings: { web: { rollout: { strategy: recreate ? 'recreate' : 'rolling' } } },
      compose: {
        secrets: {
          token: { file: './token.txt' },
          key: { file: './key.pem' },
          variable: { environment: 'STAGECRAFT_CANARY' },
        },
        configs: { app: { content: `mail:\n  password: ${CANARIES['text of a config']}\n` } },
      },
    })
  }

  const flag = (name: string, on = true) => server.exec([on ? 'touch' : 'rm', `${site.kept}/data/flag/${name}`])

  test('two deploys, of which the second changes a secret', async () => {
    // One process per pass: with one for each running process, a pass takes longer than docker does.
    const watch = `while [ ! -e done ]; do grep -a . /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; sleep 0.03; done`
    const processes = folder.exec(['sh', '-c', watch], { timeout: 280 })
    writeFiles('1', CANARIES['env file, under a telling name'])
    expectCode(await run('plan', '--version', 'v1'), 0)
    expectCode(await run('deploy', '--version', 'v1', '--verbose'), 0)
    writeFiles('2', NEXT)
    expectCode(await run('deploy', '--version', 'v2', '--json', '--verbose'), 0)
    folder.write('done', '')
    // The lab's hosts are on this machine: the processes of their containers are visible too, and are not ours.
    const seen = (await processes).stdout
      .split('\n')
      .filter((line) => /^\/proc\/\d+\/cmdline:\S*(docker|docker-compose|ssh|stagecraft)\s/.test(line))
    expect([seen.some((line) => line.includes('compose')), shownIn(seen.join('\n'))]).toEqual([true, []])
  })

  test('a deploy that fails, and a rollback that fails once only the host has the files', async () => {
    await flag('bad')
    writeFiles('3', NEXT)
    expectCode(await run('deploy', '--version', 'v3'), 5)
    for (const file of ['.env.prod', 'token.txt', 'key.pem', 'compose.yaml']) folder.remove(file)
    folder.write('.env.prod', '')
    const back = await run('rollback', '--json')
    expectCode(back, 5)
    expect(back.stderr).toContain('with •••') // it did print what it knows
  })

  test('a recovery of a run that was killed, whose undo fails', async () => {
    await flag('bad', false)
    folder.write('token.txt', CANARIES['file of a secret'])
    folder.write('key.pem', 'another key\n')
    writeFiles('4', NEXT, true)
    await flag('sick-4')
    const env = { STAGECRAFT_CANARY: CANARIES['secret of a variable'] }
    const before = (await site.containers()).join()
    const running = folder.startStagecraft(['deploy', '--version', 'v4', '--verbose'], { env })
    await until('it has recreated web', async () => (await site.containers()).join() !== before || 'it has not')
    await running.signal('KILL')
    said.push((await running.done).stdout, (await running.done).stderr)
    await flag('bad')
    for (const file of ['.env.prod', 'token.txt', 'key.pem', 'compose.yaml']) folder.remove(file)
    folder.write('.env.prod', '')
    const pruned = await run('prune')
    expect(pruned.stderr).toContain('recovery:')
    expect(pruned.stderr).toContain('with •••')
    for (const args of [
      ['status'],
      ['status', '--json'],
      ['releases', 'list'],
      ['releases', 'show', 'latest', '--json'],
    ])
      await run(...args)
  })

  test('nothing that was printed or kept shows one', async () => {
    expect(shownIn(said.join('\n'))).toEqual([])
    const logs = await server.exec(['sh', '-c', `cd ${site.kept}/releases && cat */release.json */events.jsonl`])
    expect([logs.stdout.includes('"type":"log"'), logs.stdout.includes('•••'), shownIn(logs.stdout)]).toEqual([
      true,
      true,
      [],
    ])
    const open = await server.exec([
      'sh',
      '-c',
      `find ${site.kept} ! -path '*/content/*' -type f -perm -004 -exec cat {} +`,
    ])
    expect(shownIn(open.stdout)).toEqual([])
    const kept = await server.exec(['sh', '-c', `cat ${site.kept}/releases/*/compose.json`])
    expect(shownIn(kept.stdout)).toContain('label') // the scan does find things
    expect(readFileSync(`${folder.here}/stagecraft.yml`, 'utf8')).toContain(folder.name)
  })
})
