import type { TemplateInput } from '../../lib/cli/init/template/input.ts'

/** What init knows of a project about which the Compose file says nothing but this. */
export const templateInput = (known: Partial<TemplateInput> = {}): TemplateInput => ({
  ...{ project: 'shop', hosts: [], composeFiles: [], builds: false },
  ...{ databases: {}, migrations: [], folders: {}, unclear: {}, renewed: [], keeping: [] },
  ...known,
})

/** Each example in a stagecraft.yml that init wrote, without the `#` in front of it. The first line is for editors. */
export const uncommented = (text: string): string =>
  text
    .split('\n')
    .slice(1)
    .map((line) => line.replace(/^( *)# (?=\s*(- |("[^"]*"|[\w<-]+):( |$)))/, '$1'))
    .join('\n')
