import { expect, test } from 'bun:test'
import { composeWarnings } from '../../lib/compose/warnings.ts'

const line = (text: string) => `time="2026-11-27T08:00:00Z" level=warning msg=${JSON.stringify(text)}\n`
const unset = (name: string) => line(`The "${name}" variable is not set. Defaulting to a blank string.`)

test('composeWarnings() says each thing once, and variables in one line with their names', () => {
  const obsolete = '/app/compose.yaml: the attribute `version` is obsolete, it will be ignored'
  const other = '/app/more.yaml: the attribute `version` is obsolete, it will be ignored'
  const said = [unset('TAG'), line(obsolete), unset('DB_HOST'), unset('TAG'), line(obsolete), line(other)].join('')
  expect(composeWarnings(said)).toEqual([
    obsolete,
    other,
    'variables of the Compose file are not set, and empty: DB_HOST, TAG',
  ])
  expect(composeWarnings(unset('TAG') + unset('TAG'))).toEqual([
    'a variable of the Compose file is not set, and empty: TAG',
  ])
  expect(composeWarnings('time="x" level=info msg="well"\n')).toEqual([])
})
