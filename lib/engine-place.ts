import { hostname } from 'node:os'
import { engineTimeout } from './engine.ts'
import type { Exec } from './exec.ts'

/**
 * Where docker leads to another machine (DOCKER_HOST, a context), that machine's paths are what is mounted. An engine knows the
 * name of its machine, whatever socket leads to it.
 * @returns whether it is another one than this; also where it does not answer: whoever needs it is told of that
 */
export async function isEngineElsewhere(exec: Exec): Promise<boolean> {
  const argv = ['docker', 'info', '--format', '{{.Name}}']
  const { code, stdout } = await exec(argv, { timeout: engineTimeout(process.env) })
  return code !== 0 || stdout.trim() !== hostname()
}
