import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Folder } from '../support/folder.ts'

const APPLICATION = join(import.meta.dir, '../load/server.mjs')

export const HEALTH = {
  test: ['CMD', 'wget', '-q', '-O', '/dev/null', 'http://127.0.0.1:3000/up'],
  ...{ interval: '1s', timeout: '2s', retries: 5 },
}

/** @returns a service that answers on port 3000 with its version */
export function webOf(version: string): object {
  return { build: '.', environment: { VERSION: version }, healthcheck: HEALTH }
}

/** Writes the application that the load is made for. */
export function writeApp(folder: Folder, services: object): void {
  folder.write('compose.yaml', JSON.stringify({ services }))
  folder.write('server.mjs', readFileSync(APPLICATION, 'utf8'))
  folder.write('Dockerfile', 'FROM node:20\nCOPY server.mjs /app/\nCMD ["node", "/app/server.mjs"]\n')
  folder.write('.dockerignore', '*\n!server.mjs\n')
}

export async function deploy(folder: Folder, version: string): Promise<void> {
  const { code, stderr } = await folder.stagecraft(['deploy', '--version', version])
  if (code !== 0) throw new Error(`Cannot deploy ${version}: exit ${code}\n${stderr}`)
}

export async function run(folder: Folder, argv: readonly string[]): Promise<void> {
  const { code, stderr } = await folder.exec(argv)
  if (code !== 0) throw new Error(`Cannot run ${argv.join(' ')}: exit ${code}\n${stderr}`)
}
