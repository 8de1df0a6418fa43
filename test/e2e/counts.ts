import { expect } from 'bun:test'
import type { Engine } from '../support/engine.ts'
import type { Folder } from '../support/folder.ts'
import { until } from './app.ts'

/**
 * How many containers of a service there were whenever that changed, as the engine reports it: polling
 * misses containers that come and go between two answers.
 * @param from the event from which on one counts; until then all that there are do
 */
export async function countsDuring(
  engine: Engine,
  folder: Folder,
  { service, from }: { readonly service: string; readonly from: 'start' | 'health_status: healthy' },
  act: () => Promise<unknown>,
): Promise<number[]> {
  const own = async () =>
    (await folder.containers()).filter((one) => one.service === service && one.state === 'running')
  const there = new Set((await own()).map(({ id }) => id))
  const format = '{{.ID}} {{index .Actor.Attributes "com.docker.compose.service"}} {{.Action}}'
  const label = `label=com.docker.compose.project=${folder.name}`
  const telling = engine.start(['docker', 'events', '--filter', label, '--format', format])
  /** It reports what begins now, and so has reported everything before. */
  const sees = (mark: string) =>
    until('the engine tells what it does', async () => {
      await engine.docker(['exec', (await own())[0]?.id ?? 'none', 'true', mark])
      return telling.output().includes(`exec_create: true ${mark}`) || telling.output()
    })
  await sees('before')
  await act()
  await sees('after')
  await telling.signal('TERM')
  const counts: number[] = []
  for (const line of (await telling.done).stdout.split('\n')) {
    const [, id = '', name, action] = /^(\S+) (\S+) (.*)$/.exec(line) ?? []
    if (name !== service || (action !== from && action !== 'die')) continue
    const { size } = there
    if (action === 'die') there.delete(id)
    else there.add(id)
    if (there.size !== size) counts.push(there.size)
  }
  expect((await own()).length).toBe(there.size)
  return counts
}
