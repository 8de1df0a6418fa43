import { type Docker, verb } from './client.ts'
import { NO_CONTAINER } from './lifecycle.ts'

/** What a running container uses now. */
export interface Usage {
  /** of one processor: 200 is two processors */
  readonly cpu: number
  /** bytes, as docker counts them: without the page cache */
  readonly memory: number
}

/** Takes about two seconds: the engine measures twice. */
const stats = verb(['stats', '--no-stream', '--no-trunc', '--format', '{{json .}}'], { readOnly: true })

/**
 * @param ids of running containers: docker reports nothing at all if one of them is gone, so the others are asked once more
 * @returns what they use, by id; without those that cannot be measured
 */
export async function usageOf(docker: Docker, ids: readonly string[]): Promise<ReadonlyMap<string, Usage>> {
  let { code, stdout, stderr } = await stats(docker, ids)
  const left = ids.filter((id) => !stderr.includes(id))
  if (code !== 0 && NO_CONTAINER.test(stderr) && left.length < ids.length)
    ({ code, stdout } = await stats(docker, left))
  return new Map(code === 0 ? stdout.split('\n').flatMap(parseRow) : [])
}

/** `{"ID":"4a6…","CPUPerc":"0.05%","MemUsage":"1.5MiB / 7.6GiB",…}`; `--` for what is not known. */
function parseRow(line: string): [string, Usage][] {
  if (line === '') return []
  const { ID, CPUPerc, MemUsage } = JSON.parse(line) as Record<string, string | undefined> // docker's own format
  const cpu = Number.parseFloat(CPUPerc ?? '')
  const memory = parseSize(MemUsage?.split('/')[0]?.trim() ?? '')
  return ID === undefined || Number.isNaN(cpu) || memory === undefined ? [] : [[ID, { cpu, memory }]]
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** @returns bytes, of `432KiB` */
function parseSize(text: string): number | undefined {
  const [, number = '', unit = ''] = /^([\d.]+)(\w+)$/.exec(text) ?? []
  const power = UNITS.indexOf(unit)
  return power < 0 ? undefined : Math.round(Number(number) * 1024 ** power)
}
