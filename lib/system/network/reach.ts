import { lookup } from 'node:dns/promises'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { checkServerIdentity, connect as connectTls } from 'node:tls'
import { errnoOf } from '../../util/errors.ts'

/** How this machine sees names, ports and certificates. No call throws, and none waits longer than its limit. */
export interface Network {
  /** @returns its addresses; none if there is no such name; undefined if that cannot be found out */
  resolve(name: string): Promise<readonly string[] | undefined>
  /** @returns what becomes of a connection; `silent`: no answer at all, as behind a firewall */
  knock(address: string, port: number): Promise<'open' | 'refused' | 'silent'>
  /** @returns the certificate that is served under a name; undefined: none */
  certificate(address: string, port: number, name: string): Promise<Certificate | undefined>
  /** the addresses of this machine */
  own(): readonly string[]
}

export interface Certificate {
  /** milliseconds since the epoch */
  readonly from: number
  readonly until: number
  readonly issuer: string
  /** it is for the name under which it is served */
  readonly fits: boolean
}

/** Milliseconds. */
const LIMIT = 5_000

/** The network by the system's own means: /etc/hosts counts, and variables for proxies do not. */
export const network: Network = {
  async resolve(name) {
    const found = lookup(name, { all: true }).then(
      (all) => all.map(({ address }) => address),
      (error: unknown) => (errnoOf(error) === 'ENOTFOUND' ? [] : undefined),
    )
    return Promise.race([found, Bun.sleep(LIMIT).then(() => undefined)])
  },
  knock: (host, port) =>
    new Promise((resolve) => {
      const socket = connect({ host, port })
      const end = (how: 'open' | 'refused' | 'silent') => {
        clearTimeout(timer)
        socket.destroy()
        resolve(how)
      }
      const timer = setTimeout(() => end('silent'), LIMIT)
      socket.once('connect', () => end('open'))
      socket.once('error', (error) => end(errnoOf(error) === 'ECONNREFUSED' ? 'refused' : 'silent'))
    }),
  certificate: (host, port, servername) =>
    new Promise((resolve) => {
      const socket = connectTls({ host, port, servername, rejectUnauthorized: false })
      const end = (found: Certificate | undefined) => {
        clearTimeout(timer)
        socket.destroy()
        resolve(found)
      }
      const timer = setTimeout(() => end(undefined), LIMIT)
      socket.once('secureConnect', () => {
        const found = socket.getPeerCertificate()
        const { O: organization, CN: name } = found.issuer ?? {}
        const fits = checkServerIdentity(servername, found) === undefined
        end({
          from: Date.parse(found.valid_from),
          until: Date.parse(found.valid_to),
          issuer: String(organization ?? name ?? 'nobody'),
          fits,
        })
      })
      socket.once('error', () => end(undefined))
    }),
  own: () => Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)),
}
