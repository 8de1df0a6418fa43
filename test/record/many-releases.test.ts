import { expect, test } from 'bun:test'
import { openState } from '../../lib/record/releases.ts'
import { clock, NEW, stateFiles } from '../scenes/state-file.ts'

const { newFile } = stateFiles()

test('a thousand releases in one millisecond have a thousand ids in order, and timestamps that follow', () => {
  const state = openState(newFile(), { clock })
  const made = Array.from({ length: 1000 }, () => state.createRelease(NEW))
  const ids = made.map(({ id }) => id)
  expect([ids[0], ids[1], ids[999]]).toEqual([
    'rel-20261122-080225643',
    'rel-20261122-080225644',
    'rel-20261122-080226642',
  ])
  expect(ids).toEqual([...new Set(ids)].toSorted())
  expect(made.map(({ timestamp }) => timestamp.replace(/\D/g, ''))).toEqual(ids.map((id) => id.replace(/\D/g, '')))
  expect(openState(state.file, { clock }).listReleases()).toEqual(made.toReversed())
})
