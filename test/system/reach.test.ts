import { afterAll, expect, test } from 'bun:test'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { network } from '../../lib/system/network/reach.ts'

/** Of shop.test, valid for a hundred years. The key protects nothing. */
const CERTIFICATE = `
-----BEGIN CERTIFICATE-----
MIIBxzCCAW2gAwIBAgIUa6PeTJ9ldMQAL3XawRa4xRBZ7YQwCgYIKoZIzj0EAwIw
LTESMBAGA1UEAwwJc2hvcC50ZXN0MRcwFQYDVQQKDA5UZXN0IEF1dGhvcml0eTAg
Fw0yNjExMjkyMTUxNTdaGA8yMTI2MTEwNTIxNTE1N1owLTESMBAGA1UEAwwJc2hv
cC50ZXN0MRcwFQYDVQQKDA5UZXN0IEF1dGhvcml0eTBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABKrobMxPVw5eYNdjpPG9xtZ4GI3Ulrs1bEiNX/mwlsd3ciMMs8qq
WNBW1d51rIbmLZIOerXs3QAnmF2YhPrTJIejaTBnMB0GA1UdDgQWBBR6YMtlgzlY
HFSJXPbevDSrXFsHGjAfBgNVHSMEGDAWgBR6YMtlgzlYHFSJXPbevDSrXFsHGjAP
BgNVHRMBAf8EBTADAQH/MBQGA1UdEQQNMAuCCXNob3AudGVzdDAKBggqhkjOPQQD
AgNIADBFAiBwpC/pwoK4U/uTJDB2U/WsCoRgasWoWJ8AYk77V28gPQIhALLFW8fP
Q7ALdXgw8Amc+CkwqcxXrcZo+bePsMn5vkhJ
-----END CERTIFICATE-----
`
const KEY = `
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg+VTH1DV/M4c1a0lt
HEBAXg0KEg0ikUeYIpF0RPD3s2WhRANCAASq6GzMT1cOXmDXY6TxvcbWeBiN1Ja7
NWxIjV/5sJbHd3IjDLPKqljQVtXedayG5i2SDnq17N0AJ5hdmIT60ySH
-----END PRIVATE KEY-----
`

const servers: Server[] = []
afterAll(() => {
  for (const server of servers) server.close()
})

async function listen(server: Server): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

test('a certificate is read as it is served, also one that nobody trusts', async () => {
  const port = await listen(createTlsServer({ cert: CERTIFICATE, key: KEY }, (socket) => socket.end()))
  const own = await network.certificate('127.0.0.1', port, 'shop.test')
  expect(own).toEqual({ from: expect.any(Number), until: expect.any(Number), issuer: 'Test Authority', fits: true })
  expect(new Date(own?.until ?? 0).getUTCFullYear()).toBeGreaterThan(2100)
  expect((await network.certificate('127.0.0.1', port, 'other.test'))?.fits).toBe(false)
})

test('what speaks no TLS has no certificate', async () => {
  const port = await listen(createServer((socket) => socket.end('hello')))
  expect(await network.certificate('127.0.0.1', port, 'shop.test')).toBeUndefined()
  expect(await network.knock('127.0.0.1', port)).toBe('open')
})

test('a port where nothing listens refuses', async () => {
  const server = createServer()
  const port = await listen(server)
  await new Promise((resolve) => server.close(resolve))
  expect(await network.knock('127.0.0.1', port)).toBe('refused')
  expect(await network.certificate('127.0.0.1', port, 'shop.test')).toBeUndefined()
})

test('names are looked up as the system does', async () => {
  expect(await network.resolve('localhost')).toContain('127.0.0.1')
  expect(network.own()).toContain('127.0.0.1')
})
