import type { Port } from '../../compose/model.ts'
import type { Json } from '../inspect.ts'
import { type Definition, namespaceOf, type Surroundings, withoutEmpty } from './surroundings.ts'

/** @returns how a container is reached, what it reaches, and the namespaces that it shares. */
export function networkOf(json: Json, around: Surroundings): Definition {
  const [host, config] = [json.at('HostConfig'), json.at('Config')]
  const mode = host.at('NetworkMode').string()
  const isOwn = !/^(host|none|bridge|default|container:.*)$/.test(mode)
  const id = json.at('Id').string()
  const ipc = host.at('IpcMode').string()
  const hostname = config.at('Hostname').string()
  const endpoints = isOwn ? endpointsOf(json, mode, around) : { networks: undefined, links: [] }
  const service = {
    ...(isOwn
      ? { networks: endpoints.networks ?? null }
      : { network_mode: mode === 'default' ? 'bridge' : namespaceOf(mode, around) }),
    ipc: ipc === 'private' ? undefined : namespaceOf(ipc, around),
    pid: namespaceOf(host.at('PidMode').string(), around),
    hostname: hasOwnHostname(mode, host) && !id.startsWith(hostname) ? hostname : undefined,
    domainname: config.at('Domainname').string(),
    mac_address: config.at('MacAddress').string(),
    dns: host.at('Dns').strings(),
    dns_search: host.at('DnsSearch').strings(),
    dns_opt: host.at('DnsOptions').strings(),
    extra_hosts: host.at('ExtraHosts').strings(),
    external_links: endpoints.links,
    ports: portsOf(host),
    expose: exposedOf(json),
  }
  const lost = host.at('PublishAllPorts').true()
    ? ['`docker run -P`: only the ports of its definition are published']
    : []
  return { service, lost }
}

function hasOwnHostname(mode: string, host: Json): boolean {
  return !/^(host$|container:)/.test(mode) && host.at('UTSMode').string() === ''
}

function endpointsOf(json: Json, primary: string, around: Surroundings) {
  const all = json.at('NetworkSettings', 'Networks')
  const given = [
    json.at('Name').string().replace(/^\//, ''),
    json.at('Config', 'Labels', 'com.docker.compose.service').string(),
    json.at('Id').string().slice(0, 12),
  ]
  const names = Object.keys(all.record())
  const keys = names.map((name) => around.keyOf('networks', name)).toSorted()
  const networks = names.map((name) => {
    const endpoint = all.at(name)
    const key = around.keyOf('networks', name)
    const asked = endpoint.at('IPAMConfig')
    const settings = withoutEmpty({
      aliases: [...new Set(endpoint.at('Aliases').strings())].filter((alias) => !given.includes(alias)),
      ipv4_address: asked.at('IPv4Address').string(),
      ipv6_address: asked.at('IPv6Address').string(),
      link_local_ips: asked.at('LinkLocalIPs').strings(),
      driver_opts: endpoint.at('DriverOpts').record(),
      gw_priority: endpoint.at('GwPriority').number() || undefined,
      // Compose connects to the first one by name, unless another has a priority.
      priority: name === primary && key !== keys[0] ? 1000 : undefined,
    })
    return [key, Object.keys(settings).length > 0 ? settings : null] as const
  })
  return { networks: Object.fromEntries(networks), links: linksOf(all, names, given) }
}

/** Compose adds links under the name of the container and of its service by itself. */
function linksOf(all: Json, names: readonly string[], given: readonly string[]): string[] {
  return [...new Set(names.flatMap((name) => all.at(name, 'Links').strings()))].filter((link) => {
    const [container, alias] = link.split(':')
    return container !== alias && !given.includes(alias ?? '')
  })
}

function portsOf(host: Json): Port[] {
  const bindings = host.at('PortBindings')
  return Object.keys(bindings.record()).flatMap((key) => {
    const [target = '', protocol = 'tcp'] = key.split('/')
    return bindings
      .at(key)
      .list()
      .map((binding) => {
        const [published, host_ip] = [binding.at('HostPort').string(), binding.at('HostIp').string()]
        return {
          ...{ mode: 'ingress', target: Number(target), protocol },
          ...(published === '' || published === '0' ? {} : { published }),
          ...(host_ip === '' ? {} : { host_ip }),
        }
      })
  })
}

/** Ports that are published are exposed by themselves; those of the image too, and again does no harm. */
function exposedOf(json: Json): string[] {
  const published = json.at('HostConfig', 'PortBindings').record()
  return Object.keys(json.at('Config', 'ExposedPorts').record()).filter((port) => !(port in published))
}
