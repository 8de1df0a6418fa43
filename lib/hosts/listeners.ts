import type { Exec } from '../system/exec.ts'
import { isEngineElsewhere } from './engine-place.ts'
import type { Host } from './host.ts'

/** A listening port of a host, of a container or any other program. */
export interface Listener {
  /** `80/tcp` */
  readonly port: string
  /** dotted, or `::` and the like; empty: all */
  readonly address: string
  /** `nginx (pid 812)`; absent: this user may not know it */
  readonly program?: string
}

/** Every Linux has /proc/net. `ss`, if installed, names the programs; those of other users only for root. */
const LISTENERS = `
for kind in tcp tcp6 udp udp6; do
  case $kind in tcp*) state=0A ;; *) state=07 ;; esac
  [ ! -r /proc/net/$kind ] || sed -n "s|^ *[0-9]*: \\([0-9A-F]*:[0-9A-F]*\\) [0-9A-F]*:[0-9A-F]* $state .*|$kind \\1|p" /proc/net/$kind
done
if command -v ss >/dev/null 2>&1; then ss -Hlntup 2>/dev/null | sed 's/^/ss /'; fi
exit 0
`

/**
 * @param exec runs docker for the host
 * @returns the listening ports of the engine's machine; none if this machine cannot know them, as behind a tunnel
 */
export async function listListeners(host: Host, exec: Exec): Promise<Listener[]> {
  if (!host.isLocal) return parseListeners((await host.run(LISTENERS)).stdout)
  if (process.platform !== 'linux' || (await isEngineElsewhere(exec))) return []
  return parseListeners((await exec(['sh', '-c', LISTENERS], { timeout: 10_000 })).stdout)
}

/** @param text `tcp 0100007F:0050` of the kernel, and `ss tcp LISTEN 0 128 127.0.0.1:80 0.0.0.0:* users:(("nginx",pid=812,fd=6))` */
export function parseListeners(text: string): Listener[] {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/))
  const programs = new Map<string, string>(
    lines.flatMap(([first, protocol, , , , local = '', , users = '']) => {
      const [, name, pid] = /\("([^"]+)",pid=(\d+)/.exec(users) ?? []
      const port = /:(\d+)$/.exec(local)?.[1]
      return first === 'ss' && name && port ? [[`${port}/${protocol}`, `${name} (pid ${pid})`] as const] : []
    }),
  )
  return lines.flatMap(([kind = '', place = '']): Listener[] => {
    const [address = '', hex = ''] = place.split(':')
    if (!/^(tcp|udp)6?$/.test(kind) || hex === '') return []
    const port = `${Number.parseInt(hex, 16)}/${kind.replace('6', '')}`
    const program = programs.get(port)
    return [{ port, address: readable(address), ...(program ? { program } : {}) }]
  })
}

/** The kernel prints an IPv4 address in the machine's byte order: little-endian wherever docker runs, but for s390x. */
function readable(hex: string): string {
  if (/^0+$/.test(hex)) return ''
  if (hex.length !== 8) return 'IPv6'
  const bytes = hex.match(/../g) ?? []
  return bytes
    .toReversed()
    .map((byte) => Number.parseInt(byte, 16))
    .join('.')
}
