import { expect, test } from 'bun:test'
import type { ComposeModel } from '../../lib/compose/model.ts'
import type { Docker } from '../../lib/docker/client.ts'
import { startOneOff } from '../../lib/docker/compose/run.ts'
import { createMask } from '../../lib/secrets/mask.ts'

interface Ran {
  readonly args: readonly string[]
  readonly model: ComposeModel
}

/** A docker that knows these networks and volumes, and keeps what Compose is given. */
async function given(
  model: ComposeModel,
  known: readonly string[],
  command?: string | readonly string[],
): Promise<Ran> {
  const ran: { args: readonly string[]; input: string }[] = []
  const answer: Docker['try'] = async (args, options) => {
    if (args[0] === 'compose') ran.push({ args, input: options?.input ?? '' })
    const isMissing = args[0] !== 'compose' && !known.includes(args.at(-1) ?? '')
    const stderr = isMissing
      ? `Error response from daemon: ${args[0] === 'network' ? 'network x not found' : 'get x: no such volume'}`
      : ''
    return { argv: args, code: isMissing ? 1 : 0, stdout: '', stderr, timedOut: false }
  }
  const docker = { try: answer, run: (_, args, options) => answer(args, options), mask: createMask([]) } as Docker
  const labels = ['stagecraft.migration=main', 'stagecraft.release=rel-1']
  const oneOff = { service: 'web', command, name: 'shop-migrate-main-1', labels }
  await startOneOff(docker, 'migrate main', { model, directory: '/app' }, oneOff)
  return { args: ran[0]?.args ?? [], model: JSON.parse(ran[0]?.input ?? '{}') }
}

const WEB = {
  image: 'shop-web:sc-1',
  environment: { A: '$b' },
  restart: 'always',
  container_name: 'web',
  healthcheck: { test: ['CMD', 'true'] },
  ports: [{ target: 80, published: '80' }],
  volumes: [{ type: 'volume', source: 'data', target: '/data' }],
  networks: { back: { ipv4_address: '10.0.0.7', aliases: ['api'], driver_opts: { x: 'y' } }, front: null },
  deploy: { replicas: 3, restart_policy: { condition: 'any' }, resources: {} },
  pre_stop: [{ command: ['true'] }],
  command: ['serve'],
}
const MODEL = {
  name: 'shop',
  services: { web: WEB, db: { image: 'db', networks: { back: null } } },
  networks: { back: { name: 'shop_back', internal: true }, front: { name: 'shop_front' } },
  volumes: { data: { name: 'shop_data', labels: { a: 'b' } }, new: { name: 'shop_new' } },
} as const satisfies ComposeModel

test('a one-off container has the service’s settings, and none of its duties', async () => {
  const { args, model } = await given(MODEL, ['shop_back', 'shop_data'], 'bin/rails db:migrate')
  expect(args.join(' ')).toBe(
    'compose --progress plain -p shop --project-directory /app --env-file /dev/null -f - run -d -T --no-deps ' +
      '--name shop-migrate-main-1 --label stagecraft.migration=main --label stagecraft.release=rel-1 -- web',
  )
  const { restart: _, container_name: _name, healthcheck: _health, pre_stop: _hook, ...rest } = WEB
  expect(model.services['web']).toEqual({
    ...rest,
    environment: { A: '$$b' },
    networks: { back: { driver_opts: { x: 'y' } }, front: null },
    deploy: { replicas: 3, resources: {} },
    command: 'bin/rails db:migrate',
  })
  expect(model.services['db']).toEqual(MODEL.services.db)
})

test('networks and volumes that exist are used as they are; others are created as the model says', async () => {
  const { model } = await given(MODEL, ['shop_back', 'shop_data'])
  expect(model.networks).toEqual({ back: { name: 'shop_back', external: true }, front: { name: 'shop_front' } })
  expect(model.volumes).toEqual({ data: { name: 'shop_data', external: true }, new: { name: 'shop_new' } })
  expect(model.services['web']?.['command']).toEqual(['serve'])
})
