import { PROXY, PROXY_NEXT, type ProjectRoutes } from '../../lib/plan/routes/table.ts'
import type { CaddyConfig } from './caddy.ts'
import type { FakeContainer } from './engine-state.ts'
import type { Plugged } from './networks.ts'

/** A container that was made with `docker create`: the proxy, or the one that is to replace it. */
export interface ProxyBox extends Plugged {
  readonly image: string
  readonly labels: Readonly<Record<string, string>>
  /** what its first start writes where there is nothing yet */
  readonly first: CaddyConfig
  state: 'created' | 'running' | 'exited'
}

/** What lasts of the proxy on a host. Plain values. */
export interface ProxyHost {
  boxes: ProxyBox[]
  /** its volume; undefined: none was started yet */
  volume: ProxyVolume | undefined
  /** the configuration that Caddy has loaded */
  loaded: CaddyConfig | undefined
}

export interface ProxyVolume {
  generation: number
  /** which Stagecraft wrote it */
  writer?: string
  routes: ProjectRoutes
  caddy: CaddyConfig
  /** by project: `<service>.<slot>` */
  live: Record<string, string[]>
  /** pages by project */
  maintenance: Record<string, string>
  /** files that only root can read, such as keys and error pages, by project and name */
  keys: Record<string, Record<string, string>>
  /** by project: which sets answer, as `<service>.<n>=<set>`, and of what content those are that are there */
  assets: Record<string, { links: readonly string[]; sets: Record<string, string> }>
}

export function isProxyName(word: string): boolean {
  return word === PROXY || word === PROXY_NEXT
}

export function isBox(one: Plugged): boolean {
  return isProxyName(one.name)
}

/** The address of a container while it runs, on every network that it is on. */
export function addressOf({ id }: Pick<FakeContainer, 'id'>): string {
  const bytes = [0, 2, 4].map((at) => Number.parseInt(id.slice(at, at + 2), 16))
  return `172.${bytes.join('.')}`
}
