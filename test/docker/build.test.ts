import { afterAll, describe, expect, test } from 'bun:test'
import { buildFailure, failedServices } from '../../lib/docker/compose/build-failure.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { scratch } from '../support/command-line.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

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

const folder = scratch({
  'web/Dockerfile': 'FROM busybox:1\nRUNN true\n',
  'api/Dockerfile': 'FROM busybox:1\nRUN true\n',
})
afterAll(() => folder.remove())
const context = (name: string) => ({ build: { context: `${folder.path}/${name}` } })
const model = { name: 'shop', services: { api: context('api'), web: context('web'), worker: context('gone') } }
const failure = (said: string) => buildFailure(['api', 'web', 'worker'], model, said)

const INTERLEAVED = `#7 [api 2/2] RUN for i in 1 2; do echo api $i; sleep 1; done
#7 0.658 api 1
#7 ...

#9 [web 3/3] RUN make
#9 0.213 cc shop.c

#7 [api 2/2] RUN for i in 1 2; do echo api $i; sleep 1; done
#7 1.658 api 2
#7 ...

#9 [web 3/3] RUN make
#9 0.214 shop.c:3: error: no such thing
#9 ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 2

#7 [api 2/2] RUN for i in 1 2; do echo api $i; sleep 1; done
#7 CANCELED
------
 > [web 3/3] RUN make:
0.214 shop.c:3: error: no such thing
------
`
const PLACE = `Dockerfile:3
--------------------
   1 |     FROM busybox:1
   2 |     COPY . /src
   3 | >>> RUN make
   4 |     
--------------------
`

describe('the error of a build of several services', () => {
  test('names the one that failed, its step and its last lines (Compose 2.40)', () => {
    const reason =
      'target web: failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 2\n'
    const found = failure(INTERLEAVED + (PLACE + reason).replaceAll('\n', '\n\n'))
    expect(found?.services).toEqual(['web'])
    const error = new StagecraftError('failed', `Cannot build web: ${found?.reason}`, {
      detail: found?.detail,
      hint: 'To see all that the build prints: stagecraft build --verbose',
    })
    expectGolden('commands/build.md', 'failed', formatError(error).join('\n'))
  })

  test('the same of Compose 2.26 and of BuildKit of engine 20.10', () => {
    const reasons = [
      'failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 2\n',
      'failed to solve: executor failed running [/bin/sh -c make]: exit code: 2\n',
    ]
    for (const reason of reasons)
      expect(failure(INTERLEAVED + reason)).toEqual({
        services: ['web'],
        reason: 'RUN make ended with 2',
        detail: `[web 3/3] RUN make\ncc shop.c\nshop.c:3: error: no such thing\n${reason.trim().replace('failed to solve: ', '')}`,
      })
  })

  test('distinguishes two steps that fail at once', () => {
    const fails = (number: number, step: string, code: number) =>
      `#${number} ${step}\n#${number} 1.0 from ${code}\n#${number} ERROR: process "x" did not complete successfully: exit code: ${code}\n`
    const block = (step: string) => `------\n > ${step}:\n1.0 x\n------\n`
    const [web, api] = ['[web 2/2] RUN make web', '[api 2/2] RUN make api']
    const said = `${fails(7, web, 3)}${fails(8, api, 4)}${block(web)}${block(api)}failed to solve: process "x" did not complete successfully: exit code: 4\n`
    expect(failure(said)).toEqual({
      services: ['api', 'web'],
      reason: 'RUN make web ended with 3',
      detail: `${web}\nfrom 3\n${api}\nfrom 4\nprocess "x" did not complete successfully: exit code: 4`,
    })
  })

  test('shows the last twenty lines of the step, and what speaks of an error before', () => {
    const lines = Array.from(
      { length: 50 },
      (_, at) => `#9 0.${at} ${at === 7 ? 'main.c: error: no x' : `line ${at}`}\n`,
    ).join('')
    const said = `#9 [web 3/3] RUN make\n${lines}------\n > [web 3/3] RUN make:\n0.1 x\n------\nfailed to solve: x: exit code: 1\n`
    const detail = failure(said)?.detail.split('\n') ?? []
    expect(detail.slice(0, 4)).toEqual([
      '[web 3/3] RUN make',
      '(29 more lines before)',
      'main.c: error: no x',
      'line 30',
    ])
    expect(detail).toHaveLength(24)
  })

  test('of a file that is missing, an image that is unknown, a context that is gone', () => {
    const copy =
      '#9 [web 2/2] COPY gone /x\n#9 ERROR: failed to calculate checksum of ref a-1::b2: "/gone": not found\n------\n > [web 2/2] COPY gone /x:\n------\n' +
      'failed to solve: failed to compute cache key: failed to calculate checksum of ref a-1::b2: "/gone": not found\n'
    expect(failure(copy)).toMatchObject({ services: ['web'], reason: 'COPY gone /x: "/gone": not found' })
    const base =
      '------\n > [web internal] load metadata for docker.io/library/nope:1:\n------\n' +
      'failed to solve: nope:1: failed to resolve source metadata for docker.io/library/nope:1: docker.io/library/nope:1: not found\n'
    expect(failure(base)).toMatchObject({ services: ['web'], reason: 'nope:1: docker.io/library/nope:1: not found' })
    const gone = `unable to prepare context: path "${folder.path}/gone" not found\n`
    expect(failure(gone)).toEqual({ services: ['worker'], reason: gone.trim(), detail: '' })
  })

  test('finds the service that BuildKit does not name, by its Dockerfile', () => {
    const parse = 'failed to solve: dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)\n'
    expect(failure(parse)?.services).toEqual(['web'])
    const missing = 'failed to solve: failed to read dockerfile: open Dockerfile: no such file or directory\n'
    expect(failure(missing)?.services).toEqual(['worker'])
    expect(failure('failed to solve: something else\n')?.services).toEqual(['api', 'web', 'worker'])
  })

  test('is the whole output if BuildKit does not say what failed', () => {
    expect(failure('Step 2/3 : RUN make\nThe command returned a non-zero code: 2')).toBeUndefined()
  })
})
