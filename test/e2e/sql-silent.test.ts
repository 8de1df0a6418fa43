import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { apply, historyOf, printedFailure, type Server, startServer, until } from '../scenes/sql.ts'
import { host } from '../support/lab.ts'

// A server whose machine or network disappears silently: its container is frozen and answers nothing.
describe.each([
  ['postgres', 'SELECT pg_sleep(15)', "FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep' AND state = 'active'"],
  ['mysql', 'DO sleep(15)', "FROM information_schema.processlist WHERE info LIKE 'DO sleep%'"],
] as const)('%s falls silent', (dialect, statement, atWork) => {
  let server: Server
  beforeAll(async () => {
    server = await startServer(host('h1'), dialect)
  })
  afterAll(() => server?.remove())

  test('a signal, or the time limit, still ends the run; the next one continues', async () => {
    const files = { '1.sql': 'CREATE TABLE a (n int)', '2.sql': `${statement};\nCREATE TABLE b (n int)` }
    const ending = new AbortController()
    const running = printedFailure(apply(server.url, files, { signal: ending.signal }), [server.url])
    const other = await server.other()
    await until(async () => (await other.run(`SELECT 1 ${atWork}`)).length > 0)
    await other.close()
    await server.docker('pause')
    ending.abort(15)
    const began = Date.now()
    expect(await running).toStartWith('Cannot apply 2.sql:1 to main: the connection was lost\n')
    expect(Date.now() - began).toBeLessThan(90_000)
    await server.docker('unpause')
    expect(await apply(server.url, files, { lockTimeoutMs: 120_000 })).toEqual(['2.sql'])
    expect(await historyOf(server.url)).toEqual(['1.sql rel-1', '2.sql rel-1'])
  })
})
