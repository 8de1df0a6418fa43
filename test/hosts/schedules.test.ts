import { afterEach, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openDocker } from '../../lib/docker/client.ts'
import { localHost } from '../../lib/hosts/host.ts'
import {
  cronEnd,
  cronLines,
  cronMark,
  type Entry,
  unitLine,
  unitPrefix,
  units,
} from '../../lib/hosts/schedules/entries.ts'
import { lookAtSchedules, requireScheduler } from '../../lib/hosts/schedules/host.ts'
import { LOOK_SCHEDULES, WRITE_CRONTAB, WRITE_UNITS } from '../../lib/hosts/schedules/scripts.ts'
import { answersOf } from '../../lib/hosts/scripts/state.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { makeHome } from '../scenes/cron.ts'
import { expectGolden } from '../support/golden.ts'

// What the scripts do to a crontab and to unit files, with programs in place of crontab and systemctl that keep files.

const homes: ReturnType<typeof makeHome>[] = []
afterEach(() => {
  for (const home of homes.splice(0)) home.remove()
})

const SYSTEMCTL = `#!/bin/sh
echo "$*" >>"$HOME/systemctl"
`

function home() {
  const made = makeHome()
  homes.push(made)
  const run = async (script: string, ...args: string[]) => {
    const { env } = made
    const child = Bun.spawn(['sh', '-c', script, 'stagecraft', ...args], { env, stdout: 'pipe', stderr: 'pipe' })
    const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
    return { code: await child.exited, stdout, stderr }
  }
  const schedule = (where: typeof SHOP, ...entries: Entry[]) =>
    run(WRITE_CRONTAB, cronEnd(where), cronLines(entries, where).join('\n'))
  return { ...made, run, schedule }
}

const SHOP = { project: 'shop', endpoint: 'unix:///var/run/docker.sock', docker: '/usr/bin/docker' }
const backup: Entry = { service: 'backup', schedule: '0 3 * * *', container: 'a'.repeat(64) }
const report: Entry = { service: 'report', schedule: '*/30 8 * * mon', timeout: 90_500, container: 'b'.repeat(64) }

test('a line starts the container at its hours, unless a run of the job is under way, and ends it in time', () => {
  const filters = (service: string) =>
    `--filter label=com.docker.compose.project=shop --filter label=com.docker.compose.service=${service} --filter label=com.docker.compose.oneoff=False`
  const set = (id: string) => `d="/usr/bin/docker -H unix:///var/run/docker.sock"; i=${id.repeat(64)};`
  expect(cronLines([backup, report], SHOP)).toEqual([
    `0 3 * * * ${set('a')} { [ -z "$($d ps -q ${filters('backup')})" ] && $d start $i ; } >/dev/null 2>&1 # stagecraft shop unix:///var/run/docker.sock`,
    `0,30 8 * * 1 ${set('b')} { [ -z "$($d ps -q ${filters('report')})" ] && $d start $i && { timeout 91 $d wait $i; case $? in 124|143) $d stop $i;; esac; }; } >/dev/null 2>&1 # stagecraft shop unix:///var/run/docker.sock`,
  ])
})

test.each([
  ['service', { ...backup, service: 'a%b' }],
  ['service', { ...backup, service: 'a"; rm -rf /' }],
  ['service', { ...backup, service: 'a\n* * * * * b' }],
  ['container', { ...backup, container: '$(reboot)' }],
])('nothing that a shell or cron reads otherwise comes into a line: %s', (_, entry) => {
  expect(() => cronLines([entry], SHOP)).toThrow('is not a plain name')
  expect(() => units([entry], SHOP)).toThrow('is not a plain name')
})

test('an invalid schedule is not written', () => {
  expect(() => cronLines([{ ...backup, schedule: '* * * * * rm -rf /' }], SHOP)).toThrow('must have 5 fields')
})

test('a crontab keeps all other lines, byte for byte, and ours come and go', async () => {
  const { read, write, schedule } = home()
  const own = Buffer.from(
    'SHELL=/bin/false\n\n# stagecraft is nice\n0 1 * * * echo 50\\% "of it"  \t\n* * * * * x # stagecraft shop-2 unix:///var/run/docker.sock\nno newline \xff\xfe',
    'latin1',
  )
  write(Buffer.concat([own, Buffer.from('\n')]))
  expect(await schedule(SHOP, backup, report)).toEqual({ code: 0, stdout: '', stderr: '' })
  const lines = cronLines([backup, report], SHOP).join('\n')
  expect(read()).toBe(`${lines}\n${own.toString('latin1')}\n`)
  await schedule(SHOP, report)
  expect(read()).toBe(`${cronLines([report], SHOP)}\n${own.toString('latin1')}\n`)
  await schedule(SHOP)
  expect(read()).toBe(`${own.toString('latin1')}\n`)
})

test('who had no crontab has none afterwards', async () => {
  const { read, schedule, run } = home()
  await schedule(SHOP)
  expect(read()).toBeUndefined()
  await schedule(SHOP, backup)
  const said = answersOf((await run(LOOK_SCHEDULES, 'unix:///run/d.sock', cronMark('shop'), unitPrefix('shop'))).stdout)
  expect([said('line'), said('crontab'), said('endpoint')]).toEqual([
    cronLines([backup], SHOP),
    ['yes'],
    ['unix:///run/d.sock'],
  ])
  expect(said('time')[0]).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d \S+$/)
  await schedule(SHOP)
  expect(read()).toBeUndefined()
})

test('projects that write at the same moment lose none of their lines', async () => {
  const { read, write, schedule } = home()
  write('0 1 * * * mine\n')
  const places = Array.from({ length: 8 }, (_, at) => ({ ...SHOP, project: `shop-${at}` }))
  const done = await Promise.all(places.map((where) => schedule(where, backup)))
  expect(done.map(({ code }) => code)).toEqual(places.map(() => 0))
  const lines = (read() ?? '').trimEnd().split('\n')
  expect(lines.toSorted()).toEqual(
    [...places.flatMap((where) => cronLines([backup], where)), '0 1 * * * mine'].toSorted(),
  )
})

test('what another program writes meanwhile is not lost', async () => {
  const { folder, read, write, schedule } = home()
  write('0 1 * * * mine\n')
  writeFileSync(
    join(folder, 'change'),
    'n=$(wc -l <"$HOME/tab"); [ "$n" -gt 3 ] || echo "0 2 * * * theirs $n" >>"$HOME/tab"\n',
  )
  expect(await schedule(SHOP, backup)).toMatchObject({ code: 0 })
  expect(read()).toContain('mine\n0 2 * * * theirs 1\n0 2 * * * theirs 2\n')
  expect(read()).toStartWith('0 3 * * * d=')
})

test('a crontab that never stays the same, or may not be read, is an error and stays as it is', async () => {
  const { folder, read, write, schedule, program } = home()
  write('0 1 * * * mine\n')
  writeFileSync(join(folder, 'change'), 'echo "# $$" >>"$HOME/tab"\n')
  expect(await schedule(SHOP, backup)).toMatchObject({ code: 1, stderr: 'the crontab changes all the time\n' })
  expect(read()).not.toContain('stagecraft')
  const before = read()
  program('crontab', '#!/bin/sh\necho "You (ana) are not allowed to use this program (crontab)" >&2; exit 1\n')
  expect(await schedule(SHOP, backup)).toMatchObject({ code: 1, stderr: expect.stringContaining('not allowed') })
  expect(read()).toBe(before)
})

test('a line that was not kept is an error', async () => {
  const { program, schedule } = home()
  program('crontab', '#!/bin/sh\n[ "$1" = -l ] && echo "no crontab for ana" >&2 && exit 1\nexit 0\n')
  expect(await schedule(SHOP, backup)).toMatchObject({ code: 1 })
})

test('units of systemd say the same', () => {
  const [name, service, timer] = units([{ ...report, schedule: '0 3 1 * mon' }], SHOP)
  expect(name).toBe('stagecraft:shop:report')
  expect(service).toContain(
    `ExecStart=/bin/sh -c 'd="/usr/bin/docker -H unix:///var/run/docker.sock"; i=${'b'.repeat(64)};`,
  )
  expect(service).toContain('[ -z "$$($$d ps -q ')
  expect(service?.replaceAll('$$', '')).not.toContain('$')
  expect(timer).toContain('OnCalendar=*-*-01 03:00:00\nOnCalendar=Mon *-*-* 03:00:00\n')
  expect(timer).toStartWith(`# report 0 3 1 * 1 ${'b'.repeat(64)}\n`)
})

test('units come, stay, change and go, and no others are touched', async () => {
  const { folder, run, program } = home()
  program('systemctl', SYSTEMCTL)
  const [systemd, etc] = [join(folder, 'run'), join(folder, 'etc')]
  for (const path of [systemd, etc]) mkdirSync(path)
  const here = (script: string) =>
    script.replaceAll('/run/systemd/system', systemd).replaceAll('/etc/systemd/system', etc)
  program('id', '#!/bin/sh\n[ "$1" = -u ] && echo 0 || echo root\n')
  const write = async (...entries: Entry[]) => {
    rmSync(join(folder, 'systemctl'), { force: true })
    const { code } = await run(here(WRITE_UNITS), unitPrefix('shop'), ...units(entries, SHOP))
    const calls = existsSync(join(folder, 'systemctl')) ? readFileSync(join(folder, 'systemctl'), 'utf8') : ''
    return { code, calls: calls.split('\n').filter(Boolean), files: readdirSync(etc).toSorted() }
  }
  const other = 'stagecraft:shop-2:backup.timer'
  writeFileSync(join(etc, other), '')
  const [backups, reports] = ['stagecraft:shop:backup', 'stagecraft:shop:report']
  const names = (...all: string[]) => [other, ...all.flatMap((name) => [`${name}.service`, `${name}.timer`])].toSorted()
  const both = await write(backup, report)
  expect(both).toEqual({
    code: 0,
    calls: [
      'daemon-reload',
      ...[backups, reports].flatMap((name) => [`enable -q ${name}.timer`, `restart ${name}.timer`]),
    ],
    files: names(backups, reports),
  })
  expect(await write(backup, report)).toEqual({
    code: 0,
    calls: [backups, reports].flatMap((name) => [`enable -q ${name}.timer`, `start ${name}.timer`]),
    files: names(backups, reports),
  })
  expect(answersOf((await run(here(LOOK_SCHEDULES), '', '-', unitPrefix('shop'))).stdout)('line')).toEqual([
    unitLine(backup),
    unitLine(report),
  ])
  expect(await write(report)).toMatchObject({
    code: 0,
    calls: expect.arrayContaining([`disable --now ${backups}.timer`, 'daemon-reload']),
    files: names(reports),
  })
  expect(await write()).toMatchObject({ code: 0, files: [other] })
})

/** @returns what is found on a host whose script prints these lines */
async function found(...lines: string[]) {
  const run = async () => ({ stdout: lines.join('\n'), stderr: '', code: 0, timedOut: false })
  const docker = openDocker(
    async (argv) => ({ ...(await run()), stdout: 'unix:///run/d.sock\n', argv }),
    (text) => text,
  )
  const host = { ...localHost(async (argv) => ({ ...(await run()), argv }), 'state'), isLocal: true }
  const look = lookAtSchedules({ host, docker, project: 'shop' })
  return look.then((seen) => requireScheduler(seen, host)).catch((error: unknown) => error)
}

const COMMON = ['endpoint unix:///run/d.sock', 'user ana', 'docker /usr/bin/docker', 'time 2026-11-22 09:00 UTC']

test('what runs jobs is cron where it runs, else systemd', async () => {
  const place = { user: 'ana', endpoint: 'unix:///run/d.sock', docker: '/usr/bin/docker' }
  expect(await found(...COMMON, 'crontab yes', 'cron runs', 'systemd yes')).toEqual({ by: 'cron', ...place })
  expect(await found(...COMMON, 'crontab yes', 'systemd yes')).toEqual({ by: 'systemd', ...place })
  expect(await found(...COMMON, 'refuses not allowed', 'cron runs', 'systemd yes')).toEqual({ by: 'systemd', ...place })
})

test.each([
  [[...COMMON], 'it has neither cron nor systemd'],
  [[...COMMON, 'crontab yes'], 'its cron does not run'],
  [[...COMMON, 'refuses not allowed', 'cron runs'], 'the crontab of ana cannot be read'],
  [[...COMMON, 'systemd lingers-not'], 'no cron runs there, and the timers of ana end when nobody is logged in'],
  [['endpoint unix://', ...COMMON.slice(1)], 'its engine is reached by unix://, not by a plain socket'],
  [['endpoint unix:///a%b', ...COMMON.slice(1)], 'its engine is reached by unix:///a%b, not by a plain socket'],
  [[...COMMON.slice(0, 2), 'docker '], 'it has no docker command, which starts the jobs there'],
])('without that it is refused: %#', async (lines, why) => {
  const error = await found(...lines)
  expect(error).toMatchObject({ kind: 'config', message: `Cannot run jobs by a schedule on this machine: ${why}` })
  if (!(error instanceof StagecraftError) || lines.length > COMMON.length || lines[0] !== COMMON[0]) return
  if (why.includes('neither')) expectGolden('core/jobs.md', 'no-scheduler', `${error.message}\n  hint: ${error.hint}`)
})
