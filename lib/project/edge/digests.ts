import { createHash } from 'node:crypto'
import { certificateFile, type Digests } from '../../plan/routes/table.ts'
import type { Edge, Project } from '../settings.ts'

/** @returns digests of what the operator gives the proxy */
export function digestsOf({ edge }: Pick<Project, 'edge'>): Digests {
  const { certificates = {}, pages = {} } = edge ?? {}
  const files = [
    ...Object.entries(certificates).map(([service, pem]) => [certificateFile(service), pem] as const),
    ...Object.entries(pages),
  ]
  return Object.fromEntries(files.map(([name, text]) => [name, digestOf(text)]))
}

/** @param found what the proxy has @returns the error pages that it has not, or other ones of */
export function changedPages({ pages }: Pick<Edge, 'pages'>, found: Digests = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(pages).filter(([name, text]) => found[name] !== digestOf(text)))
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
