import { describe, expect, test } from 'bun:test'
import type { ComposeModel } from '../../lib/compose/model.ts'
import { openDocker } from '../../lib/docker/client.ts'
import { parseNeighbour } from '../../lib/docker/containers.ts'
import { type Listener, parseListeners } from '../../lib/hosts/listeners.ts'
import { refuseObstacles } from '../../lib/phases/rollout/obstacles.ts'
import type { Plan } from '../../lib/plan/input.ts'
import { PHASES } from '../../lib/plan/six-phases.ts'
import { NO_STAGES } from '../../lib/plan/stages.ts'
import type { Exec } from '../../lib/system/exec.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

type Action = Plan['services'][number]['action']

const SERVICE = (service: string, action: Action) => ({ service, action, why: '', replicas: 1, ifImageChanges: false })

function planOf(actions: Readonly<Record<string, Action>>, proxy: Plan['proxy'] = null): Plan {
  return {
    ...{ environment: 'local', project: 'shop', version: 'v1', serving: null, networks: [], handovers: [] },
    ...{ routes: [], proxy, stages: NO_STAGES, notes: [] },
    phases: Object.fromEntries(PHASES.map((phase) => [phase, ''])) as Plan['phases'], // all six
    services: Object.entries(actions).map(([service, action]) => SERVICE(service, action)),
  }
}

/** An engine with these containers, as `docker ps` prints them, and these networks and volumes. */
function engine(containers: readonly string[], there: readonly string[] = []) {
  const asked: string[] = []
  const exec: Exec = async (argv) => {
    asked.push(argv.slice(1, 3).join(' '))
    const [, kind = '', verb, name = ''] = argv
    const answer = { argv, code: 0, stdout: '', stderr: '', timedOut: false }
    if (kind === 'ps') return { ...answer, stdout: containers.map((line) => `${line}\n`).join('') }
    if (verb !== 'inspect') throw new Error(`unexpected: ${argv.join(' ')}`)
    if (there.includes(name)) return { ...answer, stdout: '[{}]' }
    const stderr = kind === 'network' ? `network ${name} not found` : `get ${name}: no such volume`
    return { ...answer, code: 1, stderr: `Error response from daemon: ${stderr}` }
  }
  return { docker: openDocker(exec, (text) => text), asked }
}

const clock = { sleep: async () => {} }

type More = Partial<ComposeModel>

async function errorOf(
  plan: Plan,
  services: ComposeModel['services'],
  lines: string[],
  more: More = {},
  listeners: Listener[] = [],
) {
  const { docker } = engine(lines)
  return refuseObstacles(
    plan,
    { name: 'shop', services, ...more },
    { docker, clock, listen: async () => listeners },
  ).then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof StagecraftError) return error
      throw error
    },
  )
}

async function refusal(...asked: Parameters<typeof errorOf>): Promise<string> {
  const error = await errorOf(...asked)
  if (error === undefined) return 'fine'
  return [`${error.kind}: ${error.message}`, error.detail, error.hint].filter(Boolean).join('\n')
}

const web = (published: string, more: object = {}) => ({ web: { ports: [{ target: 80, published, ...more }] } })

describe('refuseObstacles()', () => {
  test('names the container that has a port, and its Compose project', async () => {
    const create = planOf({ web: 'create' })
    expect(await refusal(create, web('8080'), ['other\t\t\t0.0.0.0:8080->80/tcp, :::8080->80/tcp'])).toBe(
      'failed: Cannot give port 8080 to web: the container other has it\n' +
        'Stop it (docker stop other), or publish another port. Nothing has been changed.',
    )
    expect(await refusal(create, web('8080'), ['blog-app-1\tblog\tapp\t[::]:8000-8090->8000-8090/tcp'])).toContain(
      'the container blog-app-1 (app of the Compose project blog) has it',
    )
    expect(await refusal(create, web('80'), ['stagecraft-proxy\t\t\t0.0.0.0:80->80/tcp'])).toContain(
      "Cannot give port 80 to web: Stagecraft's proxy has it\nRemove the port from the Compose file: `expose`",
    )
  })

  test.each<[string, Plan, ComposeModel['services'], string]>([
    ['its own port', planOf({ web: 'recreate' }), web('8080'), 'shop-web-1\tshop\tweb\t0.0.0.0:8080->80/tcp'],
    ['another protocol', planOf({ web: 'create' }), web('53'), 'dns\t\t\t0.0.0.0:53->53/udp'],
    ['another address', planOf({ web: 'create' }), web('80', { host_ip: '10.0.0.1' }), 'x\t\t\t10.0.0.2:80->80/tcp'],
    ['a port that is not published', planOf({ web: 'create' }), web('80'), 'x\t\t\t80/tcp'],
    ['a stopped container', planOf({ web: 'create' }), web('80'), 'x\t\t\t'],
    ['a range to choose from', planOf({ web: 'create' }), web('8000-8010'), 'x\t\t\t0.0.0.0:8000->80/tcp'],
    ['a service that stays as it is', planOf({ web: 'unchanged' }), web('80'), 'x\t\t\t0.0.0.0:80->80/tcp'],
    ['a proxy that runs', planOf({}, { action: 'keep', why: '' }), {}, 'x\t\t\t0.0.0.0:80->80/tcp'],
  ])('accepts %s', async (_, plan, services, line) => {
    expect(await refusal(plan, services, [line])).toBe('fine')
  })

  test('a port on one address conflicts with that port on all addresses', async () => {
    const create = planOf({ web: 'create' })
    const lines = ['x\t\t\t127.0.0.1:80->80/tcp']
    expect(await refusal(create, web('80'), lines)).toContain('the container x has it')
    expect(await refusal(create, web('80', { host_ip: '127.0.0.1' }), lines)).toContain('the container x has it')
  })

  test('an address of the other family does not count, nor a port of a container on the host network', async () => {
    const create = planOf({ web: 'create' })
    const lines = ['x\t\t\t[::]:80->80/tcp']
    expect(await refusal(create, web('80', { host_ip: '127.0.0.1' }), lines)).toBe('fine')
    expect(await refusal(create, web('80', { host_ip: '::1' }), lines)).toContain('the container x has it')
    expect(await refusal(create, web('80'), lines)).toContain('the container x has it')
    const ports = [{ target: 80, published: '80' }]
    expect(await refusal(create, { web: { ports, network_mode: 'host' } }, ['x\t\t\t0.0.0.0:80->80/tcp'])).toBe('fine')
  })

  test('the proxy needs 80 and 443, whether others, a running service or the Compose file has them', async () => {
    const start = planOf({ web: 'recreate' }, { action: 'start', why: '' })
    expect(await refusal(start, { web: {} }, ['nginx\t\t\t0.0.0.0:443->443/tcp'])).toContain(
      'Cannot give port 443 to the proxy: the container nginx has it\nStop it (docker stop nginx), or use that proxy',
    )
    expect(await refusal(start, { web: {} }, ['shop-web-1\tshop\tweb\t0.0.0.0:80->80/tcp'])).toContain(
      'Deploy once without `expose`, so that web gives up the port, and then with it.',
    )
    expect(await refusal(start, web('80'), [])).toContain('port 80 to the proxy: web publishes it in the Compose file')
  })

  test('names the program that listens on a port, but not one that belongs to a container', async () => {
    const create = planOf({ web: 'create' })
    const nginx = { port: '80/tcp', address: '', program: 'nginx (pid 812)' }
    expect(await refusal(create, web('80'), [], {}, [nginx])).toBe(
      'failed: Cannot give port 80 to web: nginx (pid 812) listens there\n' +
        'Stop it, or publish another port. Nothing has been changed.',
    )
    expect(await refusal(create, web('80'), [], {}, [{ port: '80/tcp', address: '127.0.0.1' }])).toBe(
      'failed: Cannot give port 80 to web: a program that is in no container listens there\n' +
        "Stop it, or publish another port. To find it: sudo ss -lntup 'sport = :80'. Nothing has been changed.",
    )
    const own = ['shop-web-1\tshop\tweb\t0.0.0.0:80->80/tcp']
    expect(await refusal(planOf({ web: 'recreate' }), web('80'), own, {}, [nginx])).toBe('fine')
    const elsewhere = web('80', { host_ip: '10.0.0.1' })
    expect(await refusal(create, elsewhere, [], {}, [{ port: '80/tcp', address: '127.0.0.1' }])).toBe('fine')
    expect(await refusal(create, web('53', { protocol: 'udp' }), [], {}, [{ port: '53/tcp', address: '' }])).toBe(
      'fine',
    )
  })

  test('names the container that has the name of another', async () => {
    const services = { web: { container_name: 'app' } }
    expect(await refusal(planOf({ web: 'create' }), services, ['app\tblog\tweb\t'])).toBe(
      'failed: Cannot name the container of web app: the container app (web of the Compose project blog) has that name\n' +
        'Remove it (docker rm -f app), or change `container_name`. Nothing has been changed.',
    )
    expect(await refusal(planOf({ web: 'recreate' }), services, ['app\tshop\tweb\t'])).toBe('fine')
  })

  test('reports all obstacles at once, with networks and volumes that do not exist', async () => {
    const services = {
      web: {
        ...{ ports: [{ target: 80, published: '80' }], networks: { front: null } },
        volumes: [{ type: 'volume', source: 'data', target: '/data' }],
      },
    }
    const model = { networks: { front: { external: true, name: 'edge' } }, volumes: { data: { external: true } } }
    expect(await refusal(planOf({ web: 'create' }), services, ['x\t\t\t0.0.0.0:80->80/tcp'], model)).toBe(
      [
        'failed: Cannot deploy: 3 things are in the way',
        'Cannot give port 80 to web: the container x has it',
        'Cannot use the external network edge: it does not exist on the engine',
        'Cannot use the external volume data: it does not exist on the engine',
        'Stop it (docker stop x), or publish another port. Nothing has been changed.',
        'Create it (docker network create edge), or remove `external: true` from the Compose file. Nothing has been changed.',
        'Create it (docker volume create data), or remove `external: true` from the Compose file. Nothing has been changed.',
      ].join('\n'),
    )
  })

  test('prints what the spec shows', async () => {
    const lines = ['blog-app-1\tblog\tapp\t0.0.0.0:8080->80/tcp', 'nginx\t\t\t0.0.0.0:80->80/tcp']
    const taken = await errorOf(planOf({ web: 'create' }), web('8080'), lines)
    expectGolden('core/plan.md', 'port-taken', formatError(taken).join('\n'))
    const start = planOf({ web: 'create' }, { action: 'start', why: '' })
    const networks = { edge: { external: true } }
    const both = await errorOf(start, { web: { networks: { edge: null } } }, lines, { networks })
    expectGolden('core/plan.md', 'in-the-way', formatError(both).join('\n'))
  })

  test('asks the engine nothing if nothing of it is needed', async () => {
    const { docker, asked } = engine([])
    const listen = () => {
      throw new Error('nobody wants a port')
    }
    await refuseObstacles(planOf({ web: 'create' }), { name: 'shop', services: { web: {} } }, { docker, clock, listen })
    expect(asked).toEqual([])
  })

  test('looks again while the engine listens for a container that is starting, as after a killed run', async () => {
    const model = { name: 'shop', services: web('80') }
    const proxied = { port: '80/tcp', address: '', program: 'docker-proxy (pid 7)' }
    const lines: string[] = []
    const { docker } = engine(lines)
    let looks = 0
    const listen = async () => {
      if (++looks === 3) lines.push('shop-web-1\tshop\tweb\t0.0.0.0:80->80/tcp')
      return [proxied]
    }
    await refuseObstacles(planOf({ web: 'recreate' }), model, { docker, clock, listen })
    expect(looks).toBe(3)
    expect(await refusal(planOf({ web: 'create' }), web('80'), [], {}, [proxied])).toContain(
      'docker-proxy (pid 7) listens',
    )
  })
})

test('parseNeighbour() reads what docker ps prints of ports', () => {
  expect(parseNeighbour('a\tp\ts\t127.0.0.1:80->8080/tcp, [::]:7000-7001->7000-7001/udp, 9000/tcp').ports).toEqual([
    { port: '80/tcp', address: '127.0.0.1' },
    { port: '7000/udp', address: '::' },
    { port: '7001/udp', address: '::' },
  ])
})

test('parseListeners() reads the listeners of the kernel, and their programs from ss', () => {
  const said = [
    'tcp 0100007F:0050',
    'tcp6 00000000000000000000000000000000:01BB',
    'udp 00000000:0035',
    'ss tcp LISTEN 0 128 127.0.0.1:80 0.0.0.0:* users:(("nginx",pid=812,fd=6),("nginx",pid=813,fd=6))',
    'ss tcp LISTEN 0 128 [::]:443 [::]:*',
    '',
  ]
  expect(parseListeners(said.join('\n'))).toEqual([
    { port: '80/tcp', address: '127.0.0.1', program: 'nginx (pid 812)' },
    { port: '443/tcp', address: '' },
    { port: '53/udp', address: '' },
  ])
})
