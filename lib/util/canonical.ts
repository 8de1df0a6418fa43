import { createHash } from 'node:crypto'
import { compare } from './format.ts'

/** @returns the value with its keys sorted, and without members that mean nothing: null and empty objects. */
export function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
    .map(([key, entry]) => [key, canonical(entry)] as const)
    .filter(([, entry]) => !isVoid(entry))
  return Object.fromEntries(entries.toSorted(([a], [b]) => compare(a, b)))
}

/** @returns whether two values are equal, apart from the order of their keys and members that mean nothing. */
export function sameContent(a: unknown, b: unknown): boolean {
  return JSON.stringify(canonical(a ?? {})) === JSON.stringify(canonical(b ?? {}))
}

/** @returns a SHA-256 in hex that is equal for values with the same content */
export function contentDigest(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(canonical(value)))
    .digest('hex')
}

/** An empty list means something: `entrypoint: []` clears the image's own. */
function isVoid(value: unknown): boolean {
  if (value === null || value === undefined) return true
  return typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length === 0
}
