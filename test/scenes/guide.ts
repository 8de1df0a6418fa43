import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Folder } from '../support/folder.ts'
import { fencesOf } from '../support/golden.ts'

const GUIDES = join(import.meta.dir, '../../spec/guides')

/** A guide as a user follows it: its files and its commands, with names of the lab in place of those in the text. */
export class Guide {
  private readonly parts: ReturnType<typeof fencesOf>

  /** @param as what stands in place of a name in the text */
  constructor(
    name: string,
    private readonly as: Readonly<Record<string, string>>,
  ) {
    this.parts = fencesOf(readFileSync(join(GUIDES, `${name}.md`), 'utf8'))
  }

  private adapted(text: string): string {
    return Object.entries(this.as).reduce((all, [from, to]) => all.replaceAll(from, to), text)
  }

  /** Writes compose.yaml and stagecraft.yml of the guide; certificates are the proxy's own. */
  write(folder: Folder, files: readonly string[] = ['compose.yaml', 'stagecraft.yml']): void {
    for (const file of files) {
      const part = this.parts.find(({ language, content }) => language === 'yaml' && content.startsWith(`# ${file}`))
      if (part === undefined) throw new Error(`the guide has no ${file}`)
      folder.write(file, this.adapted(part.content).replaceAll('expose: {', 'expose: {tls: internal, '))
    }
  }

  /** @returns the commands of the n-th part for a shell, each line by itself */
  commands(at: number): string[] {
    const part = this.parts.filter(({ language }) => language === 'sh')[at]
    if (part === undefined) throw new Error(`the guide has no part ${at} for a shell`)
    const lines = this.adapted(part.content).replaceAll('\\\n', ' ').split('\n')
    return lines.map((line) => line.replace(/ +#.*$/, '')).filter((line) => line.trim() !== '')
  }
}
