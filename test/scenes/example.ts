import { expect } from 'bun:test'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Folder } from '../support/folder.ts'

// An application of examples/ as tests deploy it. The changes are made here: the server's name, the domain and its
// certificate, and packages that cannot be installed here.
export const EXAMPLES = join(import.meta.dir, '../../examples')
export const PASSWORD = 'c0rrect-horse'
const PG = readFileSync(join(import.meta.dir, '../fixtures/pg.mjs'), 'utf8')

/** Copies an example, with these hosts or as an environment of this engine. @returns its domain */
export function copyExample(example: string, folder: Folder, hosts?: string): string {
  const from = join(EXAMPLES, example)
  for (const file of readdirSync(from, { recursive: true, encoding: 'utf8' })) {
    const { mode, isFile } = { mode: statSync(join(from, file)).mode, isFile: statSync(join(from, file)).isFile() }
    if (isFile) folder.write(file, readFileSync(join(from, file), 'utf8'), mode & 0o777)
  }
  const domain = `${folder.name}.test`
  const where = hosts === undefined ? '' : `    hosts: ${hosts}\n    root: /srv/stagecraft\n`
  const config = folder
    .read('stagecraft.yml')
    .replace(/^ {4}hosts: .*\n/m, `${where}    compose_project: ${folder.name}\n`)
    .replace(/^ {2}name: (.*)$/m, hosts === undefined ? '$&' : `  name: ${folder.name}`)
    .replace(/host: (\[.*\]|[\w.-]+), port/, `host: ${domain}, tls: 'off', port`)
    .replaceAll('pass show notes/db', `echo ${PASSWORD}`)
  folder.write('stagecraft.yml', config)
  return domain
}

/** `npm ci` needs a registry: the package pg is what the tests have instead. */
export function withoutNpm(folder: Folder): void {
  folder.write('pg/package.json', '{"type":"module","exports":"./index.js"}')
  folder.write('pg/index.js', PG)
  const dockerfile = folder.read('Dockerfile')
  expect(dockerfile).toContain('RUN npm ci --omit=dev\n')
  folder.write('Dockerfile', dockerfile.replace('RUN npm ci --omit=dev\n', 'COPY pg node_modules/pg\n'))
}
