import * as v from 'valibot'

/** The word for `PRIVATE` in stagecraft.yml, as in Caddy. */
const PRIVATE_RANGES = 'private_ranges'

/** Ranges without internet addresses: RFC 1918, RFC 4193, and loopback. */
const PRIVATE = ['192.168.0.0/16', '172.16.0.0/12', '10.0.0.0/8', '127.0.0.1/8', 'fd00::/8', '::1']

const RANGE =
  'must be an address or a range such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32, or the word private_ranges'

/** Addresses and ranges; always a list afterwards, in which `private_ranges` is still a word. */
export const ranges = v.pipe(
  v.union([v.string(RANGE), v.array(v.string(RANGE), RANGE)], RANGE),
  v.transform((value) => (typeof value === 'string' ? [value] : value)),
  v.check((list) => list.every((text) => text === PRIVATE_RANGES || isRange(text)), RANGE),
)

/** @returns whose X-Forwarded headers a route passes on. With `tls: off` a load balancer on a private network terminates TLS. */
export function trustedRanges(expose: {
  readonly tls?: unknown
  readonly trusted_proxies?: readonly string[]
}): readonly string[] {
  const asked = expose.trusted_proxies ?? (expose.tls === 'off' ? [PRIVATE_RANGES] : [])
  return withPrivateRanges(asked)
}

/** @returns the list with `private_ranges` written out */
export function withPrivateRanges(list: readonly string[]): string[] {
  return [...new Set(list.flatMap((text) => (text === PRIVATE_RANGES ? PRIVATE : [text])))]
}

/** @returns whether this is an IPv4 or IPv6 address, or a range such as `10.0.0.0/8` */
export function isRange(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/')
  const most = isIPv4(address) ? 32 : isIPv6(address) ? 128 : -1
  if (most < 0 || more.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most && String(Number(bits)) === bits)
}

/** @returns an address as the range that it alone is in */
export function asRange(text: string): string {
  return text.includes('/') ? text : `${text}/${isIPv4(text) ? 32 : 128}`
}

function isIPv4(text: string): boolean {
  const parts = text.split('.')
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)
}

/** Without a zone, or anything that is only valid in a URL. */
function isIPv6(text: string): boolean {
  return /^[0-9a-fA-F:.]+$/.test(text) && text.includes(':') && URL.canParse(`http://[${text}]/`)
}
