import { timesText } from '../../util/format.ts'
import type { Docker } from '../client.ts'
import type { Container } from '../inspect.ts'
import { lastLogLines } from '../lifecycle.ts'

/** @returns state, exit code, last health output and last 20 log lines of a failed container. */
export async function lastWords(docker: Docker, container: Container): Promise<string> {
  const { name, state, exitCode, oomKilled, health, healthOutput, restarts, error } = container
  const facts = [`container ${name}: ${state}`, ...(state === 'running' ? [] : [`exit code ${exitCode}`])]
  if (restarts > 0) facts.push(`restarted ${timesText(restarts)}`)
  if (oomKilled) facts.push('out of memory')
  if (health !== 'none') facts.push(`health ${health}`)
  const logs = await lastLogLines(docker, container.id)
  return [
    facts.join(', '),
    ...(error ? [`engine: ${docker.mask(error)}`] : []),
    ...(healthOutput ? [`last health output: ${docker.mask(healthOutput)}`] : []),
    logs ? `last log lines:\n${logs.replaceAll(/^/gm, '  ')}` : 'it has logged nothing',
  ].join('\n')
}
