import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { type OwnCertificate, tlsOf } from '../../config/edge/expose.ts'
import { formatMinute } from '../../util/format.ts'
import type { Settings } from '../settings.ts'
import { readGiven, wrong } from './read.ts'

/**
 * Reads the certificates that services name, and their keys.
 * @returns both as one PEM, the certificate of the service first, by service
 * @throws config (3), with line and column, for those that visitors would refuse
 */
export async function readOwn(settings: Settings): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const [service, { expose }] of Object.entries(settings.environment.services))
    if (typeof expose?.tls === 'object' && tlsOf(expose) === 'own')
      found[service] = await readOne(settings, service, expose.tls, [
        ...(expose.host ?? []),
        ...(expose.redirect ?? []),
      ])
  return found
}

async function readOne(
  settings: Settings,
  service: string,
  { certificate, certificate_env, key, key_env }: OwnCertificate,
  hosts: readonly string[],
): Promise<string> {
  const at = (name: string) => ['services', service, 'expose', 'tls', name]
  const ofCertificate = {
    file: certificate,
    variable: certificate_env,
    path: at(certificate ? 'certificate' : 'certificate_env'),
  }
  const ofKey = { file: key, variable: key_env, path: at(key ? 'key' : 'key_env') }
  const text = await readGiven(settings, ofCertificate)
  const chain = certificateBlocks(text, (why) => wrong(settings, ofCertificate, why)).map(({ parsed }) => parsed)
  const keyText = (await readGiven(settings, ofKey)).trim()
  const own = parseKey(keyText, (why) => wrong(settings, ofKey, why))
  const leaf = chain.find((one) => one.checkPrivateKey(own))
  if (leaf === undefined) throw wrong(settings, ofKey, 'is the key of another certificate')
  const problem = problemOf(leaf, hosts)
  if (problem !== undefined) throw wrong(settings, ofCertificate, problem)
  const others = chain.filter((one) => one !== leaf)
  return `${[...[leaf, ...others].map((one) => one.toString().trim()), keyText].join('\n')}\n`
}

type Fail = (why: string) => Error

/** @returns the certificates of a PEM, in its order */
export function certificateBlocks(
  text: string,
  fail: Fail,
): { readonly pem: string; readonly parsed: X509Certificate }[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw fail('has no certificate (PEM)')
  try {
    return blocks.map((pem) => ({ pem, parsed: new X509Certificate(pem) }))
  } catch {
    throw fail('has a certificate that cannot be read')
  }
}

function parseKey(text: string, fail: Fail): KeyObject {
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) throw fail('has no private key (PEM)')
  if (/ENCRYPTED/.test(text)) throw fail('is encrypted: the proxy needs it without a passphrase')
  try {
    return createPrivateKey(text)
  } catch {
    throw fail('has a private key that cannot be read')
  }
}

function problemOf(leaf: X509Certificate, hosts: readonly string[]): string | undefined {
  const [from, until] = [leaf.validFrom, leaf.validTo].map((text) => Date.parse(text))
  const minute = (time = 0) => formatMinute(new Date(time).toISOString())
  if ((until ?? 0) <= Date.now()) return `ended ${minute(until)}`
  if ((from ?? 0) > Date.now()) return `begins ${minute(from)}`
  const other = hosts.find((host) => !isFor(leaf, host))
  return other === undefined ? undefined : `is not for ${other}`
}

function isFor(leaf: X509Certificate, host: string): boolean {
  if (!host.startsWith('*.')) return leaf.checkHost(host) !== undefined
  return leaf.subjectAltName?.toLowerCase().split(', ').includes(`dns:${host}`) === true
}
