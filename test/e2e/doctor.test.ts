import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Site } from '../scenes/site.ts'
import { isUp } from '../support/lab.ts'
import { deploy, echoing } from './app.ts'

// On h1: nothing takes the proxy away there while this is deployed, as down.test.ts does on h2.
describe.skipIf(!isUp('h1'))('doctor, of a host with exposed names', () => {
  const site = new Site('h1', 'deploy@h1', 'doctor')
  const name = `${site.folder.name}.invalid`
  const write = (tls: string) =>
    site.write({ services: { web: echoing('hello') }, settings: { web: { expose: { host: name, port: 80, tls } } } })
  beforeAll(async () => {
    await site.begin()
    write('internal')
    await deploy(site.folder, 'v1')
  })
  afterAll(() => site.cleanUp())

  const rows = async () => {
    const { code, stdout } = await site.folder.stagecraft(['doctor', '--json'])
    const { checks } = JSON.parse(stdout.split('\n')[0] ?? '') as {
      checks: { what: string; ok: boolean; found: string }[]
    }
    const own = checks.filter(({ what }) => /^(DNS|port|certificate)/.test(what))
    return {
      code,
      rows: own.map(({ what, ok, found }) => `${ok ? 'ok' : 'BAD'} ${what.replace(name, 'NAME')}: ${found}`),
    }
  }

  test('looks at their DNS, at the ports from here, and at the certificates', async () => {
    expect(await rows()).toEqual({
      code: 0,
      rows: [
        'ok DNS of NAME: there is no such name here',
        'ok port 80: open from here',
        'ok port 443: open from here',
        "ok certificate of NAME: by Caddy's own authority",
      ],
    })
  })

  test('a name that does not exist is a problem where a certificate needs it', async () => {
    write('auto')
    const found = await rows()
    expect([found.code, found.rows[0]]).toEqual([5, 'BAD DNS of NAME: there is no such name'])
  })
})
