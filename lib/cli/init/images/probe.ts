import type { Service } from '../../../compose/model.ts'
import type { ImageFacts } from './facts.ts'

/** What a healthcheck requests of its own container over HTTP. */
interface Probe {
  readonly port: number
  /** its path, if it is by its name one for this: another may answer with a redirect */
  readonly health?: string
}

/** @returns what the healthcheck of the Compose file requests, or that of the image */
export function probeOf({ healthcheck }: Service, { probe }: ImageFacts): Probe | undefined {
  const words = (healthcheck?.test ?? probe).join(' ')
  const [, port = '80', path = ''] = (/\b(curl|wget)\b/.test(words) ? ADDRESS : URL).exec(words) ?? [undefined, '0']
  if (port === '0' || healthcheck?.disable === true) return undefined
  return { port: Number(port), ...(HEALTH.test(path) ? { health: path } : {}) }
}

const SELF = '(?:localhost|127\\.0\\.0\\.1|\\[::1\\]|0\\.0\\.0\\.0)(?::(\\d{1,5}))?(/[^\\s"\'`;|&)]*)?'
const URL = new RegExp(`\\bhttp://${SELF}`)
const ADDRESS = new RegExp(`(?:\\bhttp://|[\\s"'])${SELF}`)
const HEALTH =
  /^\/([\w.-]+\/)*_?(up|health\w*|health-?check|livez?|liveness|readyz?|readiness|ping|alive|heartbeat)\/?$/i
