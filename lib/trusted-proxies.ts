/** The word for `PRIVATE` in stagecraft.yml, as Caddy has it. */
export const PRIVATE_RANGES = 'private_ranges'

/** What no address of the internet is in: RFC 1918, RFC 4193, and loopback. */
const PRIVATE = ['192.168.0.0/16', '172.16.0.0/12', '10.0.0.0/8', '127.0.0.1/8', 'fd00::/8', '::1']

/** @returns whose X-Forwarded headers a route passes on. With `tls: off` a balancer ends TLS, and reaches the proxy on a private network. */
export function trustedRanges(expose: {
  readonly tls?: string
  readonly trusted_proxies?: readonly string[]
}): readonly string[] {
  const asked = expose.trusted_proxies ?? (expose.tls === 'off' ? [PRIVATE_RANGES] : [])
  return [...new Set(asked.flatMap((text) => (text === PRIVATE_RANGES ? PRIVATE : [text])))]
}

/** @returns whether this is an IPv4 or IPv6 address, or a range of them as `10.0.0.0/8` */
export function isRange(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/')
  const most = isIPv4(address) ? 32 : isIPv6(address) ? 128 : -1
  if (most < 0 || more.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most && String(Number(bits)) === bits)
}

function isIPv4(text: string): boolean {
  const parts = text.split('.')
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)
}

/** No zone, and nothing that only a URL would take. */
function isIPv6(text: string): boolean {
  return /^[0-9a-fA-F:.]+$/.test(text) && text.includes(':') && URL.canParse(`http://[${text}]/`)
}
