import { plainLine } from '../../../util/format.ts'
import type { Exposure } from '../expose.ts'
import type { TemplateInput } from './input.ts'
import { commented, prose, yamlKey, yamlText } from './yaml-lines.ts'

type Input = Pick<TemplateInput, 'expose' | 'databases' | 'keeping' | 'unclear' | 'hosts' | 'domain'>

/** @returns `services:` of the environment; nothing if nothing is known of any */
export function serviceLines(input: Input): string[] {
  const placed = input.hosts.length > 1 ? input.keeping : []
  const held = [...new Set([...Object.keys(input.databases), ...placed])]
  const exposed = exposeEntry(input, held)
  const others = held.filter((name) => name !== input.expose?.service)
  if (exposed === undefined && others.length === 0) return []
  if (exposed !== undefined && !exposed.isLive && others.length === 0)
    return [...exposed.why, ...commented(['services:', ...indented(exposed.lines)])]
  const span = placed.length === 0 ? [] : prose(SPAN)
  const first =
    exposed === undefined ? [] : [...exposed.why, ...(exposed.isLive ? exposed.lines : commented(exposed.lines))]
  const entries = others.flatMap((name) => [`${yamlKey(name)}:`, ...indented(settingsOf(name, input))])
  return ['services:', ...indented([...span, ...first, ...entries])]
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`)
}

const SPAN =
  'Each host would have data of its own, so what keeps data runs on the first. Networks do not span hosts: a service on another host reaches it by address, not by name.'

/** @returns what is certain of a service */
function settingsOf(name: string, { hosts, keeping, databases }: Input): string[] {
  const where = databases[name]
  return [
    ...(hosts.length > 1 && keeping.includes(name) ? [`hosts: ${yamlText(hosts[0] ?? '')}`] : []),
    ...(where === undefined ? [] : [...prose(heldText(where, name === Object.keys(databases)[0])), HOLD]),
  ]
}

/** The service that answers HTTP, which is commented out as a whole if nothing of it is certain. */
function exposeEntry(input: Input, held: readonly string[]) {
  const { expose, domain } = input
  if (expose === undefined) return undefined
  const { service } = expose
  const setting = exposeLine(expose, domain)
  const why = prose(exposeText(expose, input))
  const key = `${yamlKey(service)}:`
  if (!held.includes(service)) return { why, lines: [key, `  ${setting}`], isLive: domain !== undefined }
  const own = [...settingsOf(service, input), ...why, ...(domain === undefined ? commented([setting]) : [setting])]
  return { why: [], lines: [key, ...indented(own)], isLive: true }
}

const HOLD = 'rollout: {strategy: hold}'

function heldText(where: string, isFirst: boolean): string {
  const more = ' To release a change of it, take the line out for one deploy.'
  return plainLine(`Keeps data in ${where}: created once, then restarted by no deploy.${isFirst ? more : ''}`)
}

function exposeLine({ port, host, health }: Exposure, domain: string | undefined): string {
  const name = domain ?? host ?? 'www.example.com'
  const more = [...(health === undefined ? [] : [`health: ${health}`]), ...(isPublic(name) ? [] : ['tls: internal'])]
  return `expose: {${[`host: ${name}`, `port: ${port}`, ...more].join(', ')}}`
}

/** No public authority gives a certificate for such a name. */
function isPublic(name: string): boolean {
  return /\.[a-z][a-z0-9-]*$/i.test(name) && !/\.(localhost|local|internal|lan|test|home\.arpa)$/i.test(name)
}

/** What `expose` does for the service, and what stands in its way in the Compose file. */
function exposeText(expose: Exposure, { domain, unclear, hosts }: Input): string {
  const { port, proxy, isElsewhere, data } = expose
  const stays = whyDowntime(expose, unclear)
  const gain = stays === undefined ? 'HTTPS, and updates with zero downtime' : 'HTTPS'
  const answers = domain === undefined ? [`Answers HTTP on port ${port}.`] : []
  const away = isElsewhere
    ? `stop ${proxy} on ${hosts.length === 0 ? 'this machine' : 'the host'}`
    : `remove ${proxy} from the Compose file`
  if (proxy !== undefined && domain === undefined)
    return plainLine(
      `${answers[0]} ${proxy} sends it the requests, and has the ports 80 and 443. To keep it so, leave this commented out. To let Stagecraft's proxy do it (${gain}), ${away} first.`,
    )
  const without = [...(proxy === undefined ? [] : [`once you ${away}`]), ...withoutText(expose, stays !== undefined)]
  const conditions = [...(domain === undefined ? ['with a host name of yours'] : []), ...without]
  const what = `${conditions.join(', and ')}${conditions.length > 1 ? ',' : ''} it gets ${gain}.`.trim()
  const readOnly =
    data !== undefined && data in unclear ? [`Mount ${data} with :ro for that, if it only reads it.`] : []
  const more =
    expose.hasOtherPorts || expose.isNamed ? '' : ' If two containers may write there at once, set strategy: rolling.'
  const downtime =
    stays === undefined ? [] : [`A deploy that changes it has some seconds of downtime, since ${stays}.${more}`]
  return plainLine([...answers, `${what[0]?.toUpperCase()}${what.slice(1)}`, ...readOnly, ...downtime].join(' '))
}

function whyDowntime({ data, hasOtherPorts }: Exposure, unclear: Input['unclear']): string | undefined {
  if (data !== undefined && !(data in unclear)) return `it keeps data (${data})`
  return hasOtherPorts ? 'it publishes another port' : undefined
}

/** What is to be removed in the Compose file: the proxy needs ports 80 and 443, and two containers cannot have the same. */
function withoutText({ published, isNamed }: Exposure, hasDowntime: boolean): string[] {
  const parts = [
    ...(published === undefined ? [] : [`without ${published} in its ports`]),
    ...(isNamed && !hasDowntime ? ['without its container_name'] : []),
  ]
  return parts.length === 0 ? [] : [parts.join(' and ')]
}
