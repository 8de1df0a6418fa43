/**
 * Checks a value that was read as JSON: by hand, without a schema library, since thousands of bundles are read.
 * @param at its place, for people @returns why it is not as it must be, beginning with the place; undefined: it is
 */
export type Check = (value: unknown, at: string) => string | undefined

export function matching(pattern: RegExp, what: string): Check {
  return (value, at) => (typeof value === 'string' && pattern.test(value) ? undefined : `${at} is not ${what}`)
}

export function list(check: Check): Check {
  return (value, at) => {
    if (!Array.isArray(value)) return `${at} is no list`
    return first(value.entries(), (entry, index) => check(entry, `${at}[${index}]`))
  }
}

/** @param key checks each key */
export function table(key: Check, check: Check): Check {
  return (value, at) => {
    if (!isObject(value)) return `${at} is no table`
    return first(Object.entries(value), (entry, name) => {
      if (name in Object.prototype) return `${at} has the key ${name}`
      return key(name, `${at}: ${JSON.stringify(name)}`) ?? check(entry, `${at}.${name}`)
    })
  }
}

/** Other keys are allowed: no code uses them. */
export function object(required: Record<string, Check>, optional: Record<string, Check>): Check {
  const [needed, others] = [Object.entries(required), Object.entries(optional)]
  return (value, at) => {
    if (!isObject(value)) return `${at || 'the whole'} is no table`
    const place = (key: string) => (at === '' ? key : `${at}.${key}`)
    return (
      first(needed, (check, key) => check(value[key], place(key))) ??
      first(others, (check, key) => (value[key] === undefined ? undefined : check(value[key], place(key))))
    )
  }
}

function first<K, V>(entries: Iterable<[K, V]>, check: (value: V, key: K) => string | undefined): string | undefined {
  for (const [key, value] of entries) {
    const problem = check(value, key)
    if (problem !== undefined) return problem
  }
  return undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export const text = matching(/^/, 'a text')
export const number: Check = (value, at) => (Number.isFinite(value) ? undefined : `${at} is no number`)
export const yes: Check = (value, at) => (typeof value === 'boolean' ? undefined : `${at} is neither true nor false`)
