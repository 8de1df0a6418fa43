/** Compose's sentence for a `${NAME}` without a value. */
const UNSET = /^The "?(\w+)"? variable is not set\. Defaulting to a blank string\.?$/

/**
 * Compose repeats its warnings: for a variable, once per use.
 * @param stderr of docker compose
 * @returns each warning once, in order; variables that are not set in one line
 */
export function composeWarnings(stderr: string): string[] {
  const all = [...new Set(messages(stderr))]
  const unset = all.flatMap((message) => UNSET.exec(message)?.[1] ?? [])
  const others = all.filter((message) => !UNSET.test(message))
  if (unset.length === 0) return others
  const names = [...new Set(unset)].toSorted().join(', ')
  const what = unset.length === 1 ? 'a variable of the Compose file is' : 'variables of the Compose file are'
  return [...others, `${what} not set, and empty: ${names}`]
}

/** Compose logs as logfmt, one line a message: `time="…" level=warning msg="…"`. */
function messages(stderr: string): string[] {
  const found = stderr.matchAll(/level=warning msg=("(?:[^"\\]|\\.)*")/g)
  return [...found].map(([, quoted]) => {
    try {
      return String(JSON.parse(quoted ?? '""'))
    } catch {
      return quoted ?? ''
    }
  })
}
