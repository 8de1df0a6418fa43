import { expect, test } from 'bun:test'
import { failedServices } from '../lib/builds.ts'

// What Compose 2.26 and 2.40 print of a build that fails.
const STEP = '#13 [b 3/3] RUN false\n------\n > [b 3/3] RUN false:\n------\n'
test.each([
  [`#9 [a 2/2] RUN true\n${STEP}failed to solve: process "/bin/sh -c false" did not complete successfully`, ['b']],
  [`${STEP}target b: failed to solve: process "/bin/sh -c false" did not complete successfully: exit code: 1`, ['b']],
  ['#2 [b internal] load build definition\ntarget c: failed to solve: dockerfile parse error on line 2', ['c']],
  [' > [b build 2/5] RUN make:\n', ['b']],
  [' > [2/5] RUN make:\nfailed to solve', ['a', 'b', 'c']],
  ['unable to prepare context: path "./gone" not found', ['a', 'b', 'c']],
])('failedServices() is what BuildKit names: %j', (said, failed) => {
  expect(failedServices(['a', 'b', 'c'], said)).toEqual(failed)
})
