import type { Service } from '../../compose/model.ts'
import { isHostName } from '../../config/edge/expose.ts'
import { isPort } from './known-images.ts'

/** Where another proxy sends requests. */
interface Label {
  readonly port: number
  readonly host?: string
  /** the proxy's name */
  readonly proxy: string
}

/** @param onlyPort where the service listens, if only one port can be meant */
type Of = (service: Service, onlyPort: () => number | undefined) => Label | undefined

/** Labels of Traefik and of Caddy (lucaslorentz/caddy-docker-proxy). */
export const byLabels: Of = (service, onlyPort) => {
  const labels = textsOf(service['labels'])
  const find = (pattern: RegExp) => labels.find(([key]) => pattern.test(key))?.[1]
  if (find(/^traefik\.enable$/) === 'false') return undefined
  const rule = find(/^traefik\.http\.routers\.[^.]+\.rule$/)
  const isDashboard = find(/^traefik\.http\.routers\.[^.]+\.service$/)?.endsWith('@internal')
  const caddy = find(/^caddy(_0)?$/)
  const upstream = find(/^caddy(_0)?\.(\S*\.)?reverse_proxy$/)
  if (rule !== undefined && !isDashboard) {
    const port = portIn(find(/^traefik\.http\.services\.[^.]+\.loadbalancer\.server\.port$/)) ?? onlyPort()
    if (port === undefined) return undefined
    return { port, ...hostIn(/Host\(\s*[`"']([^`"']+)/.exec(rule)?.[1]), proxy: 'Traefik' }
  }
  if (caddy === undefined || upstream === undefined) return undefined
  return { port: portIn(/(\d+)/.exec(upstream)?.[1]) ?? 80, ...hostIn(caddy), proxy: 'caddy-docker-proxy' }
}

/** Variables of nginx-proxy, whose samples have an empty name to fill in. */
export const byVariables: Of = ({ environment }, onlyPort) => {
  if (!environment || !('VIRTUAL_HOST' in environment)) return undefined
  const host = environment['VIRTUAL_HOST'] ?? ''
  const port = portIn(environment['VIRTUAL_PORT']) ?? onlyPort() ?? 80
  return { port, ...hostIn(host.split(',')[0]), proxy: 'nginx-proxy' }
}

function portIn(text: string | null | undefined): number | undefined {
  const port = Number(text ?? '')
  return isPort(port) ? port : undefined
}

/** @returns a host name that the proxy could get a certificate for */
function hostIn(text: string | undefined): { host?: string } {
  const host = text?.trim().toLowerCase() ?? ''
  return isHostName(host) && /^([a-z0-9-]+\.)+[a-z]{2,}$/.test(host) && !/\.(localhost|local)$/.test(host)
    ? { host }
    : {}
}

function textsOf(value: unknown): [string, string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  return Object.entries(value).map(([key, text]) => [key, String(text)])
}
