import { expect, test } from 'bun:test'
import { StagecraftError, withHint } from '../../lib/util/errors.ts'

const LOST = new StagecraftError('failed', 'Cannot continue', { hint: 'Look.', detail: 'EOF', cause: 'x', signal: 2 })

const parts = ({ kind, message, hint, detail, cause, signal }: StagecraftError) => {
  return { kind, message, hint, detail, cause, signal }
}

test('with() keeps what is not named', () => {
  expect(parts(LOST.with({}))).toEqual(parts(LOST))
  const { detail: _, ...rest } = parts(LOST)
  expect(parts(LOST.with({ kind: 'state', detail: undefined }))).toEqual({ ...rest, kind: 'state', detail: undefined })
})

test('withHint() adds to the hint', () => {
  expect(parts(withHint(LOST, 'Try again.'))).toEqual({ ...parts(LOST), hint: 'Look.\nTry again.' })
})
