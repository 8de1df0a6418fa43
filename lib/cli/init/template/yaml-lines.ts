/** Columns of a line of comment, without what it is indented by. */
const WIDTH = 96

/** @returns the lines of a comment. None begins with a word and a colon, as an example would */
export function prose(text: string): string[] {
  const lines: string[] = []
  for (const word of text.replace(/ (\S+:) /g, '\u00a0$1 ').split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + word.length >= WIDTH) lines.push(`# ${word}`)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines.map((line) => line.replaceAll('\u00a0', ' '))
}

/** @returns a line with a comment at its end, which `aligned` puts into its column */
export function trailing(text: string, comment: string): string {
  return `${text}${MARK}${comment}`
}

const MARK = '\0'
const COLUMN = 34

/** @returns lines with their comments in one column */
export function aligned(lines: readonly string[]): string[] {
  return lines.map((line) => {
    const [text = '', comment] = line.split(MARK)
    return comment === undefined ? text : `${text.padEnd(COLUMN - 2)}  # ${comment}`
  })
}

/** @returns lines that are commented out */
export function commented(lines: readonly string[], indent = ''): string[] {
  return lines.map((line) => `${indent}# ${line}`)
}

/** @returns one value, or a list in brackets */
export function listOf(values: readonly string[]): string {
  const all = values.map(yamlText).join(', ')
  return values.length === 1 ? all : `[${all}]`
}

/** Names such as `true` or `1e3` are not strings in YAML unless they are quoted. */
export function yamlKey(name: string): string {
  const plain = /^[a-zA-Z_][\w-]*$/.test(name) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(name)
  return plain ? name : JSON.stringify(name)
}

/** @returns a name, a path or the address of a host as YAML */
export function yamlText(text: string): string {
  const isPlain = /^(\.\/|\/)?[\w.][\w@./:-]*[\w/]$/.test(text) && /[@/]/.test(text)
  return isPlain ? text : yamlKey(text)
}
