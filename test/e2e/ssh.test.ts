import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SECRET, Site } from '../scenes/site.ts'
import type { RunOptions } from '../support/engine.ts'
import { isUp, LAB_DIR } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { deploy, ENDS_SOON, expectCode, until, writeApp, writePage } from './app.ts'

// A laptop that deploys to servers: the program runs here, builds on h1's engine, and runs on h2 (20.10) or h3 (28.5).
const lab = describe.skipIf(!isUp('h2') || !isUp('h3'))

lab.each([
  ['h3', 'h3', 'root, an address of the ssh configuration'],
  ['h2', 'ssh://deploy@h2:22', 'a user without rights but the engine'],
] as const)('on %s as %s: %s', (name, address, _) => {
  const site = new Site(name, address, 'ssh')
  const { folder, server } = site
  beforeAll(() => site.begin())
  afterAll(() => site.cleanUp())

  test('a first deploy brings images, files and data folders, and is live', async () => {
    const { stderr } = await deploy(folder, 'v1')
    expect(stderr).toMatch(/sent 1 to \S+, [\d.]+ (kB|MB) of [\d.]+ MB/)
    expect([await site.page(), await site.page('/conf/motd.txt')]).toEqual(['version one', 'hello'])
    const there = await server.exec(['ls', site.kept])
    expect(there.stdout.split('\n').filter(Boolean)).toEqual([
      'content',
      'data',
      'head',
      'locks',
      'objects',
      'releases',
      'releases.json',
    ])
    const modes = await server.exec([
      'stat',
      '-c',
      '%a %G',
      site.kept,
      `${site.kept}/releases.json`,
      `${site.kept}/releases`,
    ])
    expect(modes.stdout).toBe('2770 docker\n660 docker\n2770 docker\n')
    expect(folder.exists('.stagecraft')).toBe(false)
  })

  test('a built image has the same id on both sides', async () => {
    const tag = `${folder.name}-prod-web:v1`
    const inspect = ['image', 'inspect', '--format', '{{.Id}}', tag]
    const [here, there] = await Promise.all([folder.docker(inspect), server.docker(inspect)])
    expect(there.stdout).toBe(here.stdout)
  })

  test('nothing changed: nothing is touched, and the plan says so', async () => {
    const before = await site.containers()
    const plan = await folder.stagecraft(['plan', '--version', 'v1', '--exit-code'])
    expectCode(plan, 11) // whether the image differs is known after the build
    const { stderr } = await deploy(folder, 'v1')
    expect(stderr).toContain('nothing to do: everything runs as it should')
    expect(await site.containers()).toEqual(before)
  })

  test('a changed file of content and a changed image are deployed, and rolled back', async () => {
    folder.write('conf/motd.txt', 'good bye\n')
    writePage(folder, 'version two')
    await deploy(folder, 'v2')
    expect([await site.page(), await site.page('/conf/motd.txt')]).toEqual(['version two', 'good bye'])
    expectCode(await folder.stagecraft(['rollback']), 0)
    expect([await site.page(), await site.page('/conf/motd.txt')]).toEqual(['version one', 'hello'])
  })

  test('a failed deploy leaves the previous release live, and the next deploy succeeds', async () => {
    const broken = { ...site.app().services['web'], command: ['sh', '-c', 'exit 3'] }
    site.write({ services: { web: broken }, settings: { web: ENDS_SOON } })
    const { stderr } = await deploy(folder, 'v-bad', 5)
    expect(stderr).toContain('is still live')
    await until('version one serves', async () => (await site.page()) === 'version one' || 'it does not')
    site.write()
    await deploy(folder, 'v3')
    expect(await site.page()).toBe('version two')
  })

  test('another laptop sees the same history, lock and state', async () => {
    const other = laptop('h1').folder('other')
    try {
      await folder.exec(['cp', '-r', '.', other.path])
      const list = await other.stagecraft(['releases', 'list', '--json'])
      const versions = JSON.parse(list.stdout.split('\n')[0] ?? '').releases.map(
        ({ version }: { version: string }) => version,
      )
      expect(versions).toEqual(['v3', 'v-bad', 'v1', 'v2', 'v1', 'v1'])
      expectCode(await other.stagecraft(['status']), 0)
      expectCode(await other.stagecraft(['lock', 'hold', '--message', 'moving house']), 0)
      const held = await folder.stagecraft(['deploy', '--version', 'v4'])
      expect(held).toMatchObject({ code: 7 })
      expect(held.stderr).toContain('moving house')
      expectCode(await folder.stagecraft(['lock', 'release']), 0)
      expectCode(await other.stagecraft(['lock', 'status']), 0)
    } finally {
      await other.cleanUp()
    }
  })

  test('two at once: the second reports who is at work, or waits', async () => {
    const prod = site.app().environments?.['prod']
    const hooks = { before_rollout: 'echo begun >begun; until [ -e go ]; do sleep 0.1; done' }
    site.write({ environments: { prod: { ...prod, hooks } } })
    const first = folder.startStagecraft(['deploy', '--version', 'v5'])
    await until('the first is under way', () => folder.exists('begun') || first.output())
    const second = await folder.stagecraft(['deploy', '--version', 'v6'])
    expect(second).toMatchObject({ code: 7 })
    expect(second.stderr).toContain('deploy of v5')
    const third = folder.startStagecraft(['prune', '--wait', '2m'])
    await until('the third waits', () => third.output().includes('waiting: ') || third.output())
    folder.write('go', '')
    expectCode(await first.done, 0)
    expectCode(await third.done, 0)
    site.write()
  })

  test('a killed run releases the lock, and the next one repairs what it left', async () => {
    const healthcheck = { test: ['CMD', 'false'], interval: '1s', retries: 100 }
    const web = site.app().services['web']
    site.write({ services: { web: { ...web, healthcheck } } })
    const before = await site.containers()
    const running = folder.startStagecraft(['deploy', '--version', 'v-killed'])
    await until('the new web is there', async () => (await site.containers()).join() !== before.join() || 'it is not')
    await running.signal('KILL')
    await running.done
    site.write()
    const { stderr } = await deploy(folder, 'v7', 0, ['--wait', '60s'])
    expect(stderr).toContain('v-killed')
    expect(await site.page()).toBe('version two')
  })

  test('an image that only this machine has is sent, and a missing one is named', async () => {
    const own = `${folder.name}-mine:1` // no registry has it
    folder.write('mine/Dockerfile', 'FROM busybox:1\nRUN echo 1 >/v\n')
    expectCode(await folder.docker(['build', '-q', '-t', own, 'mine']), 0)
    const tool = (image: string) => ({ image, init: true, command: ['sleep', '600'] })
    site.write({ services: { ...site.app().services, tool: tool(own) } })
    const { stderr } = await deploy(folder, 'v3')
    expect(stderr).toContain(`warning: ${own} is sent from this machine`)
    const id = ['image', 'inspect', '--format', '{{.Id}}', own]
    const [here, there] = await Promise.all([folder.docker(id), server.docker(id)])
    expect(there.stdout).toBe(here.stdout)
    site.write({ services: { ...site.app().services, tool: { ...tool(`${own}x`), pull_policy: 'never' } } })
    const nowhere = await folder.stagecraft(['deploy', '--version', 'v4'])
    expectCode(nowhere, 5)
    expect(nowhere.stderr).toContain(`This machine's engine has no ${own}x either`)
    await Promise.all([folder.docker(['rmi', '-f', own]), server.docker(['rmi', '-f', own])])
  })
})

lab('where sshd forwards no sockets', () => {
  const site = new Site('h3', 'h3', 'stdio')
  const PID = '/run/stagecraft-sshd.pid'
  beforeAll(async () => {
    await site.begin()
    const options = ['-p', '2222', '-o', 'AllowStreamLocalForwarding=no', '-o', `PidFile=${PID}`]
    expectCode(await site.server.exec(['/usr/sbin/sshd', '-f', '/etc/lab/sshd_config', ...options]), 0)
  })
  afterAll(async () => {
    await site.server.exec(['sh', '-c', `kill "$(cat ${PID})"`])
    await site.cleanUp()
  })

  test('the docker command there is the way to its engine, also for images', async () => {
    const options = `-F ${LAB_DIR}/ssh/config -p 2222 -o HostKeyAlias=${site.server.ip}`
    site.folder.write('bin/ssh', `#!/bin/sh\nexec /usr/bin/ssh ${options} "$@"\n`, 0o755)
    const env = { PATH: `${site.folder.path}/bin:${LAB_DIR}/bin:${process.env['PATH']}` }
    const ran = await site.folder.stagecraft(['deploy', '--version', 'v1'], { env })
    expectCode(ran, 0)
    expect(ran.stderr).toMatch(/sent 1 to h3/)
    expect(await site.page()).toBe('version one')
    expectCode(await site.folder.stagecraft(['status'], { env }), 0)
  })
})

lab('what a stranger could see', () => {
  const site = new Site('h3', 'h3', 'secret')
  beforeAll(() => site.begin())
  afterAll(() => site.cleanUp())

  test('no secret is in a process list, on either side', async () => {
    const watch = `end=$(($(date +%s) + 250))
while [ ! -e ${site.kept}/done ] && [ $(date +%s) -lt $end ]; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/comm 2>/dev/null | tr '\\0' ' '; sleep 0.05; done`
    const there = site.server.exec(['sh', '-c', watch], { timeout: 270 })
    const here = site.folder.exec(['sh', '-c', watch.replace(`${site.kept}/done`, 'done')], { timeout: 270 })
    const { stdout, stderr } = await deploy(site.folder, 'v1', 0, ['--verbose'])
    await site.server.exec(['touch', `${site.kept}/done`])
    site.folder.write('done', '')
    const seen = [(await there).stdout, (await here).stdout]
    expect(seen.map((text) => text.includes('stagecraft'))).toEqual([true, true])
    expect([...seen, stdout, stderr].filter((text) => text.includes(SECRET))).toEqual([])
    const events = await site.server.exec(['sh', '-c', `cat ${site.kept}/releases/*/events.jsonl`])
    expect(events.stdout).toContain('"phase":"rollout"')
    expect(events.stdout).not.toContain(SECRET)
  })
})

lab('a host that cannot be used', () => {
  const site = new Site('h3', 'h3', 'none')
  beforeAll(() => site.begin())
  afterAll(() => site.cleanUp())

  /** What `plan` says about a host, in one line. */
  async function said(address: string, options: RunOptions = {}, patience = '60s'): Promise<string> {
    writeApp(site.folder, {
      ...site.app(),
      environments: {
        prod: { hosts: [address], root: '/srv/stagecraft', env_file: '.env.prod', connect_timeout: patience },
      },
    })
    const { code, stderr } = await site.folder.stagecraft(['plan', '--version', 'v1'], options)
    if (code !== 0) expect(stderr).toContain('hint: ')
    return `${code} ${stderr.split('\n')[0]}`
  }

  test('is said, each reason in its own words', async () => {
    expect(await said('no-such-host')).toBe('8 Cannot connect to no-such-host: its name cannot be resolved')
    expect(await said('h3:9')).toBe('8 Cannot connect to h3:9: it refuses the connection')
    expect(await said('10.213.7.250', {}, '2s')).toBe('8 Cannot connect to 10.213.7.250: it does not answer')
    expect(await said('stranger@h3')).toBe('8 Cannot connect to stranger@h3: it does not let you in')
  })

  test('a host key that is not known, or has changed, ends the deploy', async () => {
    const known = (host: string) =>
      readFileSync(join(LAB_DIR, `ssh/hostkey-${host}.pub`), 'utf8')
        .split(' ')
        .slice(0, 2)
        .join(' ')
    const knowing = (lines: string) => {
      site.folder.write('known', lines)
      const options = `-F ${LAB_DIR}/ssh/config -o UserKnownHostsFile=${site.folder.path}/known`
      site.folder.write('bin/ssh', `#!/bin/sh\nexec /usr/bin/ssh ${options} "$@"\n`, 0o755)
      return { env: { PATH: `${site.folder.path}/bin:${LAB_DIR}/bin:${process.env['PATH']}` } }
    }
    expect(await said('h3', knowing(''))).toBe('8 Cannot connect to h3: its host key is not known here')
    expect(await said('h3', knowing(`${site.server.ip} ${known('h2')}\n`))).toBe(
      '8 Cannot connect to h3: its host key is not the one that is known',
    )
    expect(await said('h3', knowing(`${site.server.ip} ${known('h3')}\n`))).toStartWith('0 ')
  })

  test('twice, or by a name that is none, is refused', async () => {
    for (const hosts of [['h3', 'h3'], ['h3', 'h3:22'], ['-oProxyCommand=touch /tmp/x']]) {
      writeApp(site.folder, { ...site.app(), environments: { prod: { hosts } } })
      expectCode(await site.folder.stagecraft(['plan']), 3)
    }
  })
})
