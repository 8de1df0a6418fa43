import { expect, test } from 'bun:test'
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findLeaks } from '../../lib/compose/build-context.ts'
import type { Service } from '../../lib/compose/model.ts'
import { openDocker } from '../../lib/docker/client.ts'
import { gate } from '../../lib/docker/gate.ts'
import type { PlanInput } from '../../lib/plan/input.ts'
import { refuseChangedVolumes } from '../../lib/plan/networks.ts'
import { refuseImpossibleRoutes, refuseTakenRoutes } from '../../lib/plan/routes/conflicts.ts'
import type { Exec } from '../../lib/system/exec.ts'
import { StagecraftError, withHint } from '../../lib/util/errors.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

/** What is printed of what `act` throws. */
async function printed(act: () => unknown): Promise<string> {
  try {
    await act()
  } catch (error) {
    return formatError(error).join('\n')
  }
  throw new Error('nothing was thrown')
}

test('a build context that holds the state is refused with the line to add', () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'context-')))
  try {
    writeFileSync(join(folder, 'Dockerfile'), 'FROM busybox:1\n')
    const state = join(folder, '.stagecraft')
    const build = { context: folder }
    const model = { name: 'shop', services: { web: { build }, worker: { build } } }
    const [leak, ...more] = findLeaks(model, [{ path: state, holds: [state] }], () => [])
    expect(more).toEqual([])
    const text = formatError(leak).join('\n')
    expectGolden('core/compose.md', 'leaky-context', text.replaceAll(folder, '/srv/shop'))
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a changed volume is refused with the manual way', async () => {
  const model = (driver: string) => ({ name: 'shop', services: {}, volumes: { data: { name: 'shop_data', driver } } })
  const input = { target: { model: model('nfs') }, serving: { model: model('local') } }
  const text = await printed(() => refuseChangedVolumes(input as unknown as PlanInput)) // all that it looks at
  expectGolden('core/plan.md', 'changed-volume', text)
})

test('a container that fails the gate is shown with its last words', async () => {
  const container = {
    Id: 'abc',
    Name: '/shop-web-1',
    Config: { Labels: { 'com.docker.compose.service': 'web' } },
    State: { Status: 'exited', ExitCode: 3 },
  }
  const exec: Exec = async (argv) => {
    const stdout = argv[1] === 'logs' ? 'listening on :3000\nno such table: users\n' : JSON.stringify([container])
    return { argv, code: 0, stdout, stderr: '', timedOut: false }
  }
  const target = { service: 'web', ids: ['abc'], job: false, healthTimeout: undefined, minReady: undefined }
  const clock = { now: () => 0, sleep: async () => {} }
  const failing = gate(
    openDocker(exec, (text) => text),
    [target],
    clock,
    () => {},
  )
  const error = await failing.catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(StagecraftError)
  const told = withHint(error as StagecraftError, 'v1 (rel-20261122-080225643) is still live.') // the line above
  expectGolden('core/phases.md', 'gate-error', await printed(() => Promise.reject(told)))
})

test('routes that cannot be are refused', async () => {
  const model = (more: Service) => ({ name: 'shop', services: { api: {}, web: more } })
  const exposed = { expose: { host: ['shop.example.com'], port: 80 }, rollout: {} }
  const both = { api: exposed, web: exposed }
  expectGolden(
    'core/plan.md',
    'no-network',
    await printed(() => refuseImpossibleRoutes(both, model({ network_mode: 'host' }))),
  )
  expectGolden('core/plan.md', 'same-route', await printed(() => refuseImpossibleRoutes(both, model({}))))
  const ports = { a: 80, b: 80 }
  const route = { service: 'web', hosts: ['shop.example.com'], path: '/', tls: 'auto', ports } as const
  expectGolden(
    'core/plan.md',
    'taken-route',
    await printed(() => refuseTakenRoutes('shop', [route], { shop: [route], blog: [route] })),
  )
})
