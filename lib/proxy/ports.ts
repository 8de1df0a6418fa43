import type { ProxyConfig } from '../config/edge/proxy.ts'
import { StagecraftError } from '../util/errors.ts'

/** Where a host publishes its proxy. */
export interface ProxyPorts {
  readonly http: number
  readonly https: number
  /** an address of the host; undefined: all */
  readonly bind?: string | undefined
}

/** @returns what stagecraft.yml says; undefined: nothing, and a proxy stays where it is */
export function wantedPorts(config: ProxyConfig | null | undefined): ProxyPorts | undefined {
  const { http, https, bind } = config ?? {}
  if (http === undefined && https === undefined && bind === undefined) return undefined
  return { http: http ?? 80, https: https ?? 443, ...(bind === undefined ? {} : { bind }) }
}

/** @returns the label of a proxy with these ports */
export function portsLabel({ http, https, bind }: ProxyPorts): string {
  return [http, https, ...(bind === undefined ? [] : [bind])].join(' ')
}

/** @returns the ports of a proxy with this label; one without any was made before there was a choice */
export function parsePortsLabel(label: string): ProxyPorts {
  const [http = '80', https = '443', bind] = label.split(' ').filter((word) => word !== '')
  return { http: Number(http), https: Number(https), ...(bind === undefined ? {} : { bind }) }
}

/** @returns arguments of docker's `--publish` */
export function publishArguments({ http, https, bind }: ProxyPorts): string[] {
  const at = bind === undefined ? '' : `${bind.includes(':') ? `[${bind}]` : bind}:`
  return [`${at}${http}:80`, `${at}${https}:443`, `${at}${https}:443/udp`]
}

export function describePorts({ http, https, bind }: ProxyPorts): string {
  return `ports ${http} and ${https}${bind === undefined ? '' : ` of ${bind}`}`
}

/**
 * @param projects that the proxy routes
 * @throws config (3) if it cannot be moved to the ports of stagecraft.yml, because it routes another project where it is
 */
export function refuseMove(
  project: string,
  { ports, wanted, projects }: { ports: ProxyPorts; wanted: ProxyPorts | undefined; projects: readonly string[] },
): void {
  if (wanted === undefined || portsLabel(wanted) === portsLabel(ports)) return
  const other = projects.find((name) => name !== project)
  if (other === undefined) return
  throw new StagecraftError(
    'config',
    `Cannot move the proxy to ${describePorts(wanted)}: it routes the project ${other} at ${describePorts(ports)}`,
    { hint: 'A host has one proxy for all projects: give all of them the same `proxy: {http, https, bind}`.' },
  )
}
