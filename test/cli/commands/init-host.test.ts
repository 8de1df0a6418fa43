import { afterEach, describe, expect, test } from 'bun:test'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfig } from '../../../lib/config/parse.ts'
import { docker, folder, has, init, program, project, read, SERVICES } from '../../scenes/init-project.ts'
import { expectGolden } from '../../support/golden.ts'

afterEach(() => folder.remove())

describe('stagecraft init with --host and --domain', () => {
  test('--host writes an environment for it, and lets doctor look, whose problems are no failure', async () => {
    project(SERVICES, { '.env': 'A=1\n', '.env.prod': 'A=2\n', 'certs/a.pem': '', 'uploads/.gitkeep': '' })
    const args = ['--yes', '--host', 'deploy@web-1.example.com', '--domain', 'shop.example.com']
    const { exit, stdout, stderr } = await init(...args)
    expect([exit, stderr]).toEqual([0, ''])
    expectGolden('commands/init.md', 'host', stdout)
    expectGolden('commands/init.md', 'host-file', read('stagecraft.yml'))
    rmSync(join(folder.path, 'stagecraft.yml'))
    const printed = await init(...args, '--json')
    const objects = printed.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(objects).toMatchObject([
      { type: 'init', environment: 'prod', hosts: ['deploy@web-1.example.com'] },
      { type: 'doctor', ok: false },
      { type: 'finished', exit: 0 },
    ])
  })

  test('reads the Compose file with the env file of the server, if there is one that replaces .env', async () => {
    const run = async (files: Readonly<Record<string, string>>) => {
      project(SERVICES, files)
      const script = readFileSync(join(folder.path, '.bin/docker'), 'utf8')
      program('docker', `echo "$*" >>${folder.path}/calls\n${script}`)
      expect((await init('--host', 'a')).exit).toBe(0)
      const { env_file } = parseConfig(read('stagecraft.yml')).environments['prod'] ?? {}
      return [/--env-file \S*\/(\S+) config/.exec(read('calls'))?.[1], env_file]
    }
    expect(await run({ '.env.prod': 'A=1\nexport B=2\n', '.env': 'B=1\n# C=3\n' })).toEqual([
      '.env.prod',
      ['.env.prod'],
    ])
    expect(await run({ '.env.prod': 'A=1\n', '.env': 'B=1\n' })).toEqual([undefined, []])
    expect(await run({ '.env.production': 'A=1\n' })).toEqual([undefined, []])
  })

  test.each<[string, string]>([
    ['--host=-oProxyCommand=x', 'Cannot use the host "-oProxyCommand=x"'],
    ['--host=a b@c@d', 'Cannot use the host "b@c@d"'],
    ['--host=,', 'Cannot use the host ","'],
    ['--host=deploy@a,root@a', 'Cannot use the hosts: one is named twice'],
    ['--domain=https://a.example.com', 'Cannot use the domain "https://a.example.com"'],
    ['--domain=*.example.com', 'Cannot use the domain "*.example.com"'],
  ])('refuses %s before anything is read or written', async (flag, said) => {
    project()
    docker('exit 77')
    const { exit, stderr } = await init(flag)
    expect([exit, stderr.split('\n')[0], has('.gitignore')]).toEqual([2, said, false])
  })

  test('refuses a domain if no service answers HTTP', async () => {
    project({ bot: { image: 'bot' } })
    const { exit, stderr } = await init('--domain', 'a.example.com')
    expect([exit, stderr.split('\n')[0], has('stagecraft.yml')]).toEqual([
      ...[2, 'Cannot expose a.example.com: no service of the Compose file seems to answer HTTP', false],
    ])
  })
})
