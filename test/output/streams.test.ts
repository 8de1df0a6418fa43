import { expect, test } from 'bun:test'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { createOutput } from '../../lib/output/streams.ts'
import { scratch } from '../support/command-line.ts'

test('what is only of use now is left out while nobody takes it, and nothing is lost or torn', () => {
  const folder = scratch()
  const path = `${folder.path}/pipe`
  Bun.spawnSync(['mkfifo', path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writer = openSync(path, constants.O_WRONLY)
  const read = () => {
    const buffer = Buffer.alloc(1024 * 1024)
    let length = 0
    for (;;) {
      try {
        length += readSync(reader, buffer, length, buffer.length - length, null)
      } catch {
        return buffer.toString('utf8', 0, length)
      }
    }
  }
  const output = createOutput(writer)
  const frame = (at: number) => `<${String(at).padStart(4998, '.')}>`
  let taken = 0
  while (output.offer?.(frame(taken))) taken++
  expect(taken).toBeGreaterThan(5)
  expect(output.offer?.('<never>')).toBe(false)
  const first = read()
  output.write('<after>')
  expect(`${first}${read()}`).toBe(`${Array.from({ length: taken }, (_, at) => frame(at)).join('')}<after>`)
  expect(output.failure).toBeUndefined()
  closeSync(reader)
  expect([output.offer?.('<gone>'), output.failure]).toEqual([true, 'EPIPE'])
  closeSync(writer)
  folder.remove()
})
