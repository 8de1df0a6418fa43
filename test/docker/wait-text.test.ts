import { expect, test } from 'bun:test'
import type { Container } from '../../lib/docker/inspect.ts'
import { waitText } from '../../lib/docker/readiness/wait-text.ts'
import { container as plainContainer } from '../scenes/situation.ts'

const checked = { health: 'starting', mostProbes: 10 } as const

test.each<[Partial<Container>, { job?: boolean; minReady?: number }, string]>([
  [checked, {}, 'starting'],
  [{ ...checked, failedProbes: 3 }, {}, 'starting, healthcheck 3 of 10'],
  [
    { ...checked, failedProbes: 3, healthOutput: 'trying\nconnection \u001b[31mrefused\n' },
    {},
    'starting, healthcheck 3 of 10 (connection refused)',
  ],
  [{ ...checked, healthOutput: 'no\n' }, {}, 'starting (no)'],
  [{}, {}, 'running, 2 of 5 s'],
  [{}, { minReady: 30_000 }, 'running, 2 of 30 s'],
  [{}, { job: true }, 'running'],
  [{ state: 'created' }, {}, 'created'],
  [{ state: 'restarting', restarts: 2, exitCode: 137 }, {}, 'restarting, exit code 137'],
])('%o %o is at: %s', (container, target, text) => {
  const whole: Container = { ...plainContainer('web'), ...container }
  expect(waitText(whole, { job: false, minReady: undefined, ...target }, 2_900)).toBe(text)
})
