import { isWildcard, tlsOf } from '../../config/edge/expose.ts'
import { type HostAddress, hostKey } from '../../config/host-address.ts'
import type { Environment } from '../../config/parse.ts'
import type { ProxyContainer } from '../../docker/inspect.ts'
import type { ProxyState } from '../../proxy/api.ts'
import type { CertificateState } from '../../proxy/certificates/certificate.ts'
import { type ProxyPorts, parsePortsLabel } from '../../proxy/ports.ts'
import type { Certificate, Network } from '../../system/network/reach.ts'
import { leastLeft } from '../certificates.ts'
import { bad, type Check, ok } from './check.ts'

/** A host of the environment, as this machine reaches it. */
export interface Place {
  /** as the rows of several hosts begin; empty: there is one */
  readonly label: string
  readonly key: string
  /** a name or address; undefined: it cannot be connected to from here, only through another machine */
  readonly address: string | undefined
  /** the ports on which its proxy answers: by HTTPS only with a route that has TLS */
  readonly listens: readonly number[]
  /** why Caddy could not get or renew a certificate the last time, by name */
  readonly failures: ReadonlyMap<string, string>
}

/** A name under which a service is exposed. */
interface Exposed {
  readonly name: string
  readonly tls: ReturnType<typeof tlsOf>
  /** where; undefined: on all hosts */
  readonly hosts: readonly HostAddress[] | undefined
}

interface Seeing {
  readonly network: Network
  /** milliseconds since the epoch */
  readonly now: number
}

/** Checks the names of exposed services from this machine, all at once: DNS, the proxy's ports, certificates. */
export async function exposedChecks(
  { services, proxy }: Pick<Environment, 'services' | 'proxy'>,
  places: readonly Place[],
  seeing: Seeing,
): Promise<Check[]> {
  const names = exposedNames(services)
  const reached = await Promise.all(
    places.map(async (place) => ({ place, addresses: await addressesOf(place, seeing.network) })),
  )
  const all = reached.flatMap(({ addresses }) => addresses)
  const known = reached.every(({ addresses }) => addresses.length > 0)
  const dns = names.filter(({ name }) => !isWildcard(name)).map((one) => dnsCheck(one, known ? all : [], seeing))
  const behind = reached.map(async ({ place, addresses: [address] }) => {
    const own = names.filter(({ hosts }) => hosts?.some((host) => hostKey(host) === place.key) ?? true)
    return own.length === 0 ? [] : hostChecks(own, { ...place, proxy }, address, seeing)
  })
  return (await Promise.all([...dns.map(async (one) => [await one]), ...behind])).flat()
}

function exposedNames(services: Environment['services']): Exposed[] {
  const all = Object.values(services).flatMap(({ expose, hosts }) =>
    [...(expose?.host ?? []), ...(expose?.redirect ?? [])].map(
      (name): Exposed => ({ name, tls: tlsOf(expose ?? {}), hosts }),
    ),
  )
  return [...new Map(all.map((one) => [one.name, one])).values()]
}

async function addressesOf({ address }: Place, network: Network): Promise<readonly string[]> {
  if (address === undefined) return []
  return address === LOOPBACK ? network.own() : ((await network.resolve(address)) ?? [])
}

/** The address of this machine's own engine. */
export const LOOPBACK = '127.0.0.1'

async function dnsCheck({ name, tls }: Exposed, hosts: readonly string[], { network }: Seeing): Promise<Check> {
  const what = `DNS of ${name}`
  const found = await network.resolve(name)
  if (found === undefined) return ok(what, 'not known: no name server answers here')
  if (found.length === 0 && tls === 'auto')
    return bad(
      what,
      'there is no such name',
      'Make a DNS record with the address of the host: the certificate needs it.',
    )
  if (found.length === 0) return ok(what, 'there is no such name here', 'Make a DNS record, or use /etc/hosts.')
  const text = found.join(', ')
  if (hosts.length === 0 || found.some((address) => hosts.includes(address))) return ok(what, text)
  return ok(what, `${text}: another address than the host's`, 'Right if a proxy, a CDN or NAT is in front of it.')
}

/** Ports and certificates of one host. */
async function hostChecks(
  names: readonly Exposed[],
  place: Place & { readonly proxy: Environment['proxy'] | undefined },
  address: string | undefined,
  seeing: Seeing,
): Promise<Check[]> {
  const row = (check: Check): Check => ({ ...check, what: `${place.label}${check.what}` })
  const { http = 80, https = 443, bind } = place.proxy ?? {}
  const where = bind ?? (place.address === LOOPBACK ? LOOPBACK : address)
  if (where === undefined) return [row(ok('ports', 'not tried: no direct way to the host is known'))]
  const secure = names.filter(({ tls }) => tls !== 'off')
  const ports = secure.length > 0 ? [http, https] : [http]
  const knocked = await Promise.all(ports.map((port) => seeing.network.knock(where, port)))
  const checks = ports.map((port, at) => portCheck(port, knocked[at] ?? 'silent', place, secure.length > 0))
  if (!place.listens.includes(https) || knocked[1] !== 'open') return checks.map(row)
  const certificates = secure
    .filter(({ name }) => !isWildcard(name))
    .map(async ({ name, tls }) =>
      certificateCheck({ name, tls }, await seeing.network.certificate(where, https, name), place, seeing),
    )
  return [...checks, ...(await Promise.all(certificates))].map(row)
}

/** Before the first deploy nothing listens: then only a port that never answers is a problem. */
function portCheck(port: number, knocked: 'open' | 'refused' | 'silent', { listens }: Place, isNeeded: boolean): Check {
  const what = `port ${port}`
  if (knocked === 'open') return ok(what, 'open from here')
  if (knocked === 'refused' && !listens.includes(port)) return ok(what, 'nothing listens yet')
  const found = knocked === 'silent' ? 'no answer from here' : 'refused, though the proxy runs'
  const remedy = `Open port ${port} in the firewall of the host, and of its provider.`
  if (isNeeded) return bad(what, found, remedy)
  return ok(what, found, 'Right if a proxy of your own is in front of it, or a VPN.')
}

/** Caddy's own authority: its certificates last hours, and are renewed in time. */
const INTERNAL = /^Caddy Local Authority/

function certificateCheck(
  { name, tls }: Pick<Exposed, 'name' | 'tls'>,
  found: Certificate | undefined,
  { failures }: Place,
  { now }: Seeing,
): Check {
  const what = `certificate of ${name}`
  const failure = failures.get(name)
  const because = failure === undefined ? '' : `; the last attempt failed: ${failure}`
  if (found === undefined)
    return bad(
      what,
      `there is none${because}`,
      'See why: stagecraft proxy logs. It needs DNS, and port 80 or 443 from the internet.',
    )
  const end = new Date(found.until).toISOString().slice(0, 10)
  const remedy = tls === 'own' ? REPLACE : RENEW
  if (found.until <= now) return bad(what, `expired on ${end}, by ${found.issuer}${because}`, remedy)
  if (!found.fits) return bad(what, `for another name, by ${found.issuer}`, remedy)
  if (INTERNAL.test(found.issuer))
    return ok(
      what,
      "by Caddy's own authority",
      tls === 'auto' ? 'Only browsers that trust that authority accept it.' : '',
    )
  const text = `until ${end}, by ${found.issuer}`
  const isLate = found.until - now < leastLeft(found.until - found.from)
  return isLate ? bad(what, `${text}${because}`, remedy) : ok(what, `${text}${because}`)
}

/** Checks whether the services that are asked about visitors' names give an answer that means something. */
export function askChecks(services: Environment['services'], states: readonly CertificateState[]): Check[] {
  const own = new Set(exposedNames(services).map(({ name }) => name))
  return states
    .filter(({ name, on_demand: isAsked }) => isAsked && isWildcard(name) && own.has(name))
    .map(({ name, service, answer = 0, error }) => {
      const what = `certificates of ${name}`
      if (error !== undefined)
        return bad(what, error, 'It must answer 2xx for a name that it serves, and 404 for any other.')
      if (answer < 300) return bad(what, `${service} allows any name (${answer})`, ANY_NAME)
      return ok(what, `on demand; ${service} answers ${answer} for a name of nobody`)
    })
}

const ANY_NAME =
  'Answer 404 unless it is the name of a customer: anybody could have certificates made until the CA refuses.'

const REPLACE = 'Put a new one where `tls` of the service in stagecraft.yml says, and deploy.'
const RENEW = 'It should have been renewed by now. See: stagecraft proxy logs'

/** @param listened those of its ports on which something listens */
export function proxyCheck(
  proxy: ProxyContainer | undefined,
  listened: readonly string[],
  { http, https }: ProxyPorts,
): Check {
  const taken = [http, https].map(String).filter((port) => listened.includes(port))
  if (proxy?.state === 'running') return ok('proxy', `running, ${proxy.reference}`)
  if (taken.length === 0) return ok('proxy', 'the next deploy starts it')
  const remedy = `Stop what listens there (ss -ltnp), or use it as your own proxy, without \`expose\`.`
  return bad('proxy', `port ${taken.join(' and ')} is taken by something else`, remedy)
}

/** @returns the ports on which a proxy answers */
export function portsOf(state: ProxyState | undefined, proxy: ProxyContainer | undefined): number[] {
  if (state === undefined) return []
  const { http, https } = parsePortsLabel(proxy?.ports ?? '')
  const routes = Object.values(state.projects).flat()
  return routes.some(({ hosts, tls }) => hosts.length > 0 && tls !== 'off') ? [http, https] : [http]
}
