import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ASK, CERTIFICATES, DRAINED, PROBE } from '../../lib/proxy/inside/questions.ts'
import { APPLY, KEEP, PROXY_FOLDER, READ, START } from '../../lib/proxy/inside/scripts.ts'
import { exec } from '../../lib/system/exec.ts'

// The scripts themselves, in a POSIX shell, with a Caddy that notes what it is asked.
let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stagecraft-proxy-'))
  for (const name of ['live', 'maintenance', 'bin']) mkdirSync(join(folder, name))
  caddy('exit 0')
  configuration(1)
})
afterEach(() => rmSync(folder, { recursive: true }))

const at = (path: string) => join(folder, path)
const ROUTES = '{"shop":[]}'

/** @param reload what it does with `caddy reload` */
function caddy(reload: string): void {
  const text = `#!/bin/sh\necho "$1 $3" >>${at('said')}\ncase $1 in reload) ${reload} ;; esac\n`
  writeFileSync(at('bin/caddy'), text, { mode: 0o755 })
}

function configuration(n: number): void {
  mkdirSync(at(`config/${n}`), { recursive: true })
  for (const [name, text] of Object.entries({ 'routes.json': '{}\n', 'caddy.json': '{}\n', loaded: '' }))
    writeFileSync(at(`config/${n}/${name}`), text)
}

/** What an earlier version left if one run took its configuration back while another one had loaded it. */
function broken(n: number): void {
  mkdirSync(at(`config/${n}`))
  writeFileSync(at(`config/${n}/loaded`), '')
}

function run(script: string, zero: string, ...args: string[]) {
  const env = { PATH: `${at('bin')}:${process.env['PATH']}` }
  const input = `${ROUTES}\n{"apps":{}}\n`
  return exec(['sh', '-c', script.replaceAll(PROXY_FOLDER, folder), zero, ...args], { env, input, timeout: 60_000 })
}

const read = async () => (await run(READ, 'read')).stdout
const configurations = () => readdirSync(at('config')).toSorted()

describe('a configuration that is only half there', () => {
  beforeEach(() => broken(2))

  test('is not read', async () => {
    expect(await read()).toBe('1\n{}\n')
  })

  test('is replaced', async () => {
    expect((await run(APPLY, 'apply', '2')).code).toBe(0)
    expect(await read()).toBe(`2\n${ROUTES}\n`)
  })

  test('does not keep the proxy from starting', async () => {
    expect((await run(START, '{}')).code).toBe(0)
    expect(readFileSync(at('said'), 'utf8')).toBe('run config/1/caddy.json\n')
  })
})

describe('a configuration that is applied', () => {
  test('is loaded and current; a second one with its number is refused', async () => {
    expect([(await run(APPLY, 'apply', '2')).code, (await run(APPLY, 'apply', '2')).code]).toEqual([0, 75])
    expect(await read()).toBe(`2\n${ROUTES}\n`)
    expect(existsSync(at('config/2/loaded'))).toBe(true)
  })

  test('says which Stagecraft has written it', async () => {
    expect((await run(APPLY, 'apply', '2', '0.3.0-rc.1')).code).toBe(0)
    expect(await read()).toBe(`2 0.3.0-rc.1\n${ROUTES}\n`)
  })

  test('is announced in the second before, so that connections end with their answers', async () => {
    caddy(`[ -s ${at('closing')} ] && echo closing >>${at('said')}`)
    expect((await run(APPLY, 'apply', '2')).code).toBe(0)
    expect(readFileSync(at('said'), 'utf8')).toContain('reload config/2/caddy.json\nclosing\n')
    expect(existsSync(at('closing'))).toBe(false)
    writeFileSync(at('closing'), '5\n') // of one that was killed
    await read()
    expect(existsSync(at('closing'))).toBe(false)
  })

  test('is taken back as a whole if Caddy refuses it', async () => {
    caddy('echo refused >&2; exit 1')
    const { code, stderr } = await run(APPLY, 'apply', '2')
    expect([code, stderr.trim(), configurations()]).toEqual([65, 'refused', ['1']])
  })

  test('is loaded after all if Caddy was busy', async () => {
    caddy(`[ -e ${at('tried')} ] || { touch ${at('tried')}; exit 1; }`)
    expect((await run(APPLY, 'apply', '2')).code).toBe(0)
    expect(configurations()).toEqual(['1', '2'])
  })

  test("stays if Caddy refuses another run's, which that run takes back", async () => {
    // While 2 is loaded, another run writes 3, and takes it back a moment later.
    const other = `cp -r ${at('config/1')} ${at('config/3')}; { sleep 1; mv ${at('config/3')} ${at('gone')}; } >/dev/null 2>&1 &`
    caddy(`case $3 in */3/*) exit 1 ;; esac; [ -e ${at('gone')} ] || { ${other} sleep 0.1; }`)
    expect((await run(APPLY, 'apply', '2')).code).toBe(0)
    expect(await read()).toBe(`2\n${ROUTES}\n`)
  })
})

test('one that is taken back while it is read is not read', async () => {
  configuration(2)
  rmSync(at('config/2/loaded'))
  caddy(`mv ${at('config/2')} ${at('gone')}; exit 0`)
  expect(await read()).toBe('1\n{}\n')
  expect(configurations()).toEqual(['1'])
})

test.each([
  ['to the slot', 'a.web.x:80', 5],
  ['to one container of it', '2.a.web.x:80', 5],
  ['to another slot', 'b.web.x:80', 2],
])('a request %s is waited for, until it is over: %s', async (_, address, looks) => {
  const said = (count: number) =>
    JSON.stringify([
      { address, num_requests: count, fails: 0 },
      { address: 'c.web.x:80', num_requests: 1, fails: 0 },
    ])
  // It is over at the fourth look; twice in a row there must be none.
  const look = `echo one >>${at('asked')}; [ $(wc -l <${at('asked')}) -gt 3 ] && echo '${said(0)}' || echo '${said(1)}'`
  writeFileSync(at('bin/wget'), `#!/bin/sh\n${look}\n`, { mode: 0o755 })
  expect((await run(DRAINED, 'drained', '600', 'a.web.x:80')).code).toBe(0)
  expect(readFileSync(at('asked'), 'utf8').trim().split('\n')).toHaveLength(looks)
})

describe('a container that is to speak HTTP/2', () => {
  const SETTINGS = '\0\0\x12\x04\0\0\0\0\0'
  /** A container that says this to each client; undefined: none can connect. */
  function container(said: string | undefined): void {
    writeFileSync(at('answer'), said ?? '')
    const refused = "echo nc: can\\'t connect: Connection refused >&2; exit 1"
    const talk = `shift 3; exec "$@" <${at('answer')} >${at('question')}`
    writeFileSync(at('bin/nc'), `#!/bin/sh\n${said === undefined ? refused : talk}\n`, { mode: 0o755 })
  }
  const URL = 'h2c://172.18.0.2:50051'
  const probed = async () => {
    const { code, stderr } = await run(PROBE, 'probe', '0', URL, 'shop.test', 'https')
    return [code, stderr.trim()]
  }

  test('is asked as RFC 9113 says, and answers with its SETTINGS', async () => {
    container(SETTINGS)
    expect(await probed()).toEqual([0, ''])
    expect(readFileSync(at('question'), 'latin1')).toBe('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0')
    expect((await run(ASK, 'ask', '0', URL, 'shop.test', 'https')).stdout).toBe('')
  })

  test.each([
    ['speaks HTTP/1.1', 'HTTP/1.1 400 Bad Request', 'it speaks no h2c'],
    ['says nothing', '', 'it speaks no h2c'],
    ['does not listen', undefined, "nc: can't connect: Connection refused"],
  ])('and %s is not ready', async (_, said, why) => {
    container(said)
    expect(await probed()).toEqual([1, why])
    expect((await run(ASK, 'ask', '0', URL, 'shop.test', 'https')).stdout).toBe(`0 ${why}\n`)
  })
})

test('a key is written for root alone, and not again while it is the same', async () => {
  const file = at('keys/shop/web.pem')
  const keep = async () => {
    expect((await run(KEEP, 'keep', 'keys/shop', 'web.pem', 'always')).code).toBe(0)
    const { ino, mode } = statSync(file)
    return { ino, mode: (mode & 0o777).toString(8) }
  }
  const first = await keep()
  expect([first.mode, await keep()]).toEqual(['600', first])
  writeFileSync(file, 'another')
  expect((await keep()).ino).not.toBe(first.ino)
  expect(readdirSync(at('keys/shop'))).toEqual(['web.pem'])
})

test('Caddy reads a secret again that comes in the place of a lost one, and no other', async () => {
  caddy(`echo "$6" >>${at('said')}`)
  const keep = async (when: string) => expect((await run(KEEP, 'keep', 'keys/shop', 'abc', when)).code).toBe(0)
  await keep('reload')
  await keep('reload')
  await keep('unless-there')
  expect(existsSync(at('said'))).toBe(false)
  writeFileSync(at('keys/shop/abc'), 'lost')
  await keep('reload')
  expect(readFileSync(at('said'), 'utf8')).toBe('reload config/1/caddy.json\n--force\n')
})

test('a secret that Caddy could not read again is read by the next try', async () => {
  const keep = async () => (await run(KEEP, 'keep', 'keys/shop', 'abc', 'reload')).code
  expect(await keep()).toBe(0)
  writeFileSync(at('keys/shop/abc'), 'lost')
  caddy('exit 1')
  expect([await keep(), await keep()]).toEqual([1, 1])
  caddy('exit 0')
  rmSync(at('said'))
  expect([await keep(), readFileSync(at('said'), 'utf8')]).toEqual([0, 'reload config/1/caddy.json\n'])
  rmSync(at('said'))
  expect([await keep(), existsSync(at('said')), readdirSync(at('keys/shop'))]).toEqual([0, false, ['abc']])
})

test('a service is asked about a name that no project has, and its status printed, or none', async () => {
  const url = 'http://127.0.0.1:2020/ask?domain=nobody.test'
  const asked = async (wget: string) => {
    writeFileSync(at('bin/wget'), `#!/bin/sh\n${wget}\n`, { mode: 0o755 })
    return (await run(CERTIFICATES, 'certificates', `ask:${url}`)).stdout
  }
  expect(await asked(`[ "$4" = '${url}' ] && echo '  HTTP/1.1 404 Not Found' >&2; exit 1`)).toBe(
    'asked nobody.test HTTP/1.1 404 Not Found\n',
  )
  expect(await asked("echo 'connection refused' >&2; exit 1")).toBe('asked nobody.test \n')
})
