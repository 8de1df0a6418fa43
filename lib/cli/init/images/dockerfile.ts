import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Build } from '../../../compose/model.ts'
import { type ImageFacts, tcpPort } from './facts.ts'

/** One `FROM` of a Dockerfile, and what follows. */
interface Stage {
  readonly from: string
  readonly name: string
  readonly ports: number[]
}

/** Bytes. A longer file is not read. */
const MOST = 64 * 1024

/** @returns what the image of a build is based on, and the ports that its Dockerfile exposes, if it has any */
export function readDockerfile(build: Build): Pick<ImageFacts, 'base'> & { ports?: readonly number[] } {
  const { context, dockerfile = 'Dockerfile', dockerfile_inline: inline, target } = build
  const stages = stagesOf(inline ?? readText(resolve(context, dockerfile)))
  const ports: number[] = []
  let at = target === undefined ? stages.length - 1 : stages.findIndex(({ name }) => name === target)
  for (;;) {
    const stage = stages[at]
    if (stage === undefined) return {}
    ports.push(...stage.ports)
    const before = stages.findLastIndex(({ name }, index) => index < at && name === stage.from.toLowerCase())
    if (before < 0) return { base: stage.from, ...(ports.length > 0 ? { ports } : {}) }
    at = before
  }
}

function stagesOf(text: string): Stage[] {
  const stages: Stage[] = []
  for (const line of text.replace(/\\\r?\n/g, ' ').split(/\r?\n/)) {
    const [, from, name = ''] = /^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?/i.exec(line) ?? []
    if (from !== undefined) stages.push({ from, name: name.toLowerCase(), ports: [] })
    const [, words = ''] = /^\s*EXPOSE\s+(.*)$/i.exec(line) ?? []
    stages.at(-1)?.ports.push(...words.trim().split(/\s+/).flatMap(tcpPort))
  }
  return stages
}

function readText(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat?.isFile() && stat.size <= MOST ? readFileSync(path, 'utf8') : ''
}
