import { expect } from 'bun:test'
import { connect, type Socket } from 'node:net'
import { connect as connectSecurely } from 'node:tls'
import { deploy, expectCode, httpd, QUICK_STOP, sharedFolders, writeApp } from './app.ts'
import { app, h1, lab, name } from './proxied.ts'

// A balancer that passes TCP on, and says in a PROXY header who the visitor is.
const [shop] = sharedFolders(h1, 'proxy-protocol')
const VISITOR = '203.0.113.9'
const HEADER = `PROXY TCP4 ${VISITOR} 10.0.0.1 4711 443\r\n`
const SCRIPT = '#!/bin/sh\\necho; echo from $HTTP_X_FORWARDED_FOR, $HTTP_X_FORWARDED_PROTO'

const web = {
  image: 'busybox:1',
  command: [
    'sh',
    '-c',
    `mkdir -p /www/cgi-bin; printf '${SCRIPT.replaceAll('$', () => '$$')}\\n' >/www/cgi-bin/who; chmod +x /www/cgi-bin/who; exec ${httpd('/www').join(' ')}`,
  ],
  ...QUICK_STOP,
}

function release(version: string, balancers: string[], expose: object) {
  const { services, settings } = app(shop, { web }, { web: { expose: { host: name(shop), port: 80, ...expose } } })
  const environments = { local: balancers.length > 0 ? { proxy: { proxy_protocol: balancers } } : {} }
  writeApp(shop, { services, ...(settings ? { settings } : {}), environments })
  return deploy(shop, version)
}

/** Sends a request after what a balancer sends first. @returns the whole answer */
async function asked(first: string, secure: boolean): Promise<string> {
  const socket = connect(secure ? 443 : 80, h1.ip)
  if (first !== '') socket.write(first)
  const talk: Socket = secure ? connectSecurely({ socket, servername: name(shop), rejectUnauthorized: false }) : socket
  talk.write(`GET /cgi-bin/who HTTP/1.1\r\nHost: ${name(shop)}\r\nConnection: close\r\n\r\n`)
  let text = ''
  return new Promise((resolve) => {
    const end = (why: string) => resolve(text || why)
    talk.setTimeout(20_000, () => end('late'))
    talk.on('data', (data) => {
      text += data.toString()
    })
    talk.on('error', ({ message }) => end(message))
    talk.on('close', () => end('closed'))
  })
}

lab('the service sees the visitor of a balancer that it trusts, with TLS and without', async () => {
  await release('v1', ['private_ranges'], { tls: 'internal', http: 'serve' })
  expect(await asked(HEADER, true)).toContain(`from ${VISITOR}, https`)
  expect(await asked(HEADER, false)).toContain(`from ${VISITOR}, http`)
  const direct = await asked('', true)
  expect(direct).toContain(', https')
  expect(direct).not.toContain(VISITOR)
})

lab('`allow` checks the visitor’s address, which only a trusted balancer can state', async () => {
  await release('v2', ['private_ranges'], { tls: 'off', trusted_proxies: [], allow: VISITOR })
  expect(await asked(HEADER, false)).toContain(`from ${VISITOR}, http`)
  expect(await asked(HEADER.replace(VISITOR, '203.0.113.10'), false)).toContain('403 Forbidden')
  expect(await asked('', false)).toContain('403 Forbidden')
  await release('v3', ['198.51.100.0/24'], { tls: 'off', trusted_proxies: [], allow: VISITOR })
  expect(await asked(HEADER, false)).toContain('403 Forbidden')
  expectCode(await shop.stagecraft(['rollback', '--yes', '--to-version', 'v1']), 0)
  // The balancers are those of the host's current configuration.
  expect(await asked(HEADER, true)).not.toContain(VISITOR)
})
