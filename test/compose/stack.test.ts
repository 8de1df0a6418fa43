import { afterEach, describe, expect, test } from 'bun:test'
import type { ComposeModel, Service } from '../../lib/compose/model.ts'
import { DEFINITION, JOB, objectName, objectNames, stackOf } from '../../lib/compose/stack/convert.ts'
import { goDuration } from '../../lib/compose/stack/duration.ts'
import { bindsAsConfigs } from '../../lib/compose/stack/files.ts'
import { judgeForSwarm } from '../../lib/compose/stack/fit.ts'
import { Problems } from '../../lib/util/problems.ts'
import { scratch } from '../support/command-line.ts'
import { errorOf, formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

const folders: { remove(): void }[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove()
})

const HOW = { order: 'stop-first' } as const

/** A service as it is given to `docker stack deploy`. */
function converted(service: Service, how: Partial<Parameters<typeof stackOf>[1][number]> = {}) {
  const model: ComposeModel = { name: 'shop', services: { web: service } }
  const { services } = stackOf(model, [{ service: 'web', ...HOW, ...how }]) as {
    services: { web: Record<string, unknown> & { labels: Record<string, string>; deploy: Record<string, unknown> } }
  }
  return services.web
}

describe('stackOf()', () => {
  test('has only the services that are wanted, and what they use', () => {
    const model: ComposeModel = {
      name: 'shop',
      services: {
        web: { image: 'a', networks: { front: null }, volumes: [{ type: 'volume', source: 'data', target: '/data' }] },
        db: { image: 'b', networks: { back: null }, secrets: [{ source: 'token-0123', target: '/run/secrets/token' }] },
      },
      networks: { front: { name: 'shop_front', ipam: {} }, back: { name: 'shop_back' } },
      volumes: { data: { name: 'shop_data' } },
      secrets: { 'token-0123': { name: 'shop_token-0123', file: '/content/0123' } },
    }
    expect(stackOf(model, [{ service: 'web', ...HOW }])).toMatchObject({
      version: '3.9',
      services: { web: { image: 'a', networks: { front: {} } } },
      networks: { front: { name: 'shop_front', driver: 'overlay' } },
      volumes: { data: { name: 'shop_data' } },
      ...{ configs: {}, secrets: {} },
    })
    const db = stackOf(model, [{ service: 'db', ...HOW }])
    expect(db).toMatchObject({
      networks: { back: { name: 'shop_back', driver: 'overlay' } },
      ...{ volumes: {}, secrets: { 'token-0123': { name: 'shop_token-0123', file: '/content/0123' } } },
    })
  })

  test('turns what Compose prints into what Swarm reads', () => {
    const web = converted({
      ...{ image: 'a', command: null, entrypoint: ['sh'], environment: { A: '1', B: null }, init: true },
      ...{ cpus: 0.5, mem_limit: '1024', mem_reservation: '512', pids_limit: 100, restart: 'on-failure:3' },
      ...{ container_name: 'web', shm_size: '64', depends_on: {}, extra_hosts: ['db=10.0.0.3', 'v6:::1'] },
      ports: [
        { target: 80, published: '8080', protocol: 'tcp' },
        { target: 81, published: '81', mode: 'host' },
      ],
      volumes: [
        { type: 'bind', source: '/srv', target: '/srv', bind: { create_host_path: true, propagation: 'rslave' } },
        { type: 'tmpfs', target: '/tmp', tmpfs: { size: '1000' } },
      ],
      configs: [
        { source: 'c', target: '/c', uid: '5', mode: '0440' },
        { source: 'd', mode: 0o400 },
      ],
      networks: { default: null, back: { aliases: ['site'], priority: 5 } },
      healthcheck: { disable: true, test: ['NONE'] },
    })
    const { labels: _, ...rest } = web
    expect(rest).toEqual({
      ...{ image: 'a', entrypoint: ['sh'], environment: { A: '1' }, init: true },
      extra_hosts: ['db:10.0.0.3', 'v6:::1'],
      ports: [
        { target: 80, published: 8080, protocol: 'tcp', mode: 'ingress' },
        { target: 81, published: 81, mode: 'host' },
      ],
      volumes: [
        { type: 'bind', source: '/srv', target: '/srv', bind: { propagation: 'rslave' } },
        { type: 'tmpfs', target: '/tmp', tmpfs: { size: 1000 } },
      ],
      configs: [
        { source: 'c', target: '/c', uid: '5', mode: 0o440 },
        { source: 'd', mode: 0o400 },
      ],
      networks: { default: {}, back: { aliases: ['site'] } },
      healthcheck: { disable: true },
      deploy: {
        ...{ mode: 'replicated', replicas: 1 },
        resources: { limits: { cpus: '0.5', memory: '1024', pids: 100 }, reservations: { memory: '512' } },
        restart_policy: { condition: 'on-failure', max_attempts: 3 },
        update_config: { order: 'stop-first', failure_action: 'pause', monitor: '5000ms' },
        rollback_config: { order: 'stop-first', failure_action: 'pause', monitor: '5000ms' },
      },
    })
  })

  test('keeps what the Compose file says about updates, and watches as long as the start period', () => {
    const { deploy } = converted(
      {
        ...{ image: 'a', scale: 3, healthcheck: { test: ['CMD', 'true'], start_period: '1m30s' } },
        deploy: { update_config: { parallelism: 2, order: 'stop-first', failure_action: 'continue' } },
      },
      { order: 'start-first' },
    )
    expect(deploy).toMatchObject({
      replicas: 3,
      update_config: { parallelism: 2, order: 'stop-first', failure_action: 'continue', monitor: '90000ms' },
      rollback_config: { order: 'start-first', failure_action: 'pause' },
    })
  })

  test('a job runs once; a global service has no number', () => {
    const job = converted({ image: 'a' }, { job: 'rel-1' })
    expect(job.deploy).toEqual({
      mode: 'replicated',
      replicas: 1,
      restart_policy: { condition: 'none' },
      update_config: { parallelism: 0, order: 'stop-first', failure_action: 'continue' },
    })
    expect(job.labels).toEqual({ [DEFINITION]: expect.any(String), [JOB]: 'rel-1' })
    expect(converted({ image: 'a', deploy: { mode: 'replicated-job' } }, { job: 'rel-1' }).deploy).toEqual(job.deploy)
    expect(converted({ image: 'a', deploy: { mode: 'global' } }, { job: 'rel-1' }).deploy).toEqual({
      mode: 'global-job',
      restart_policy: { condition: 'none' },
    })
    expect(converted({ image: 'a', deploy: { mode: 'global' } }).deploy).not.toHaveProperty('replicas')
  })

  test('the label of its tasks follows from what they are made of, not from their number or how they are replaced', () => {
    const label = (service: Service, how = {}) => converted(service, how).labels[DEFINITION]
    const own = label({ image: 'a' })
    expect(label({ image: 'a', scale: 5 }, { order: 'start-first', nudges: 1 })).toBe(own)
    expect(label({ image: 'b' })).not.toBe(own)
    expect(converted({ image: 'a' }, { nudges: 2 }).deploy['update_config']).toMatchObject({ monitor: '5002ms' })
    expect(converted({ image: 'a', labels: { team: 'x' } }).labels).toMatchObject({ team: 'x' })
  })

  test('asks for the newer format only where it is needed', () => {
    const model = (healthcheck: object): ComposeModel => ({
      name: 'shop',
      services: { web: { image: 'a', healthcheck } },
    })
    const version = (healthcheck: object) => stackOf(model(healthcheck), [{ service: 'web', ...HOW }])['version']
    expect([version({ interval: '1s' }), version({ start_interval: '1s' })]).toEqual(['3.9', '3.12'])
  })
})

describe('objectName()', () => {
  test('is at most 64 characters, and different for different names', () => {
    const long = (end: string) => objectName(`${'x'.repeat(80)}-${end}`)
    expect([objectName('shop_motd-0123'), long('a').length, long('a') === long('b')]).toEqual([
      'shop_motd-0123',
      64,
      false,
    ])
    const configs = { a: { name: 'shop_a-01', file: '/f' }, b: { name: 'theirs', external: true } }
    expect(objectNames({ name: 'shop', services: {}, configs }, 'configs')).toEqual(['shop_a-01'])
  })
})

test('goDuration() reads what Compose prints', () => {
  expect(['1m30s', '500ms', '1h0m0.5s', '', 'soon', undefined].map(goDuration)).toEqual([
    90_000,
    500,
    3_600_500,
    undefined,
    undefined,
    undefined,
  ])
})

describe('what a Swarm cannot do', () => {
  const project = () => {
    const folder = scratch({ 'conf/a.txt': 'a', 'run.sh': '#!/bin/sh\n' })
    folders.push(folder)
    return folder.path
  }

  test('is refused, all at once, where the application would be another one', () => {
    const directory = project()
    const bind = (path: string, more = {}) => ({
      type: 'bind',
      source: `${directory}/${path}`,
      target: `/${path}`,
      ...more,
    })
    const model: ComposeModel = {
      name: 'shop',
      services: {
        web: {
          ...{ image: 'a', privileged: true, network_mode: 'host', devices: ['/dev/kvm'], security_opt: [] },
          ports: [{ target: 80, published: '8080', host_ip: '127.0.0.1' }],
          volumes: [bind('conf', { read_only: true }), bind('data')],
        },
        db: { image: 'b', networks: { back: { ipv4_address: '10.0.0.5' } } },
      },
      networks: { back: { driver: 'bridge' } },
    }
    const problems = new Problems()
    expect(judgeForSwarm(bindsAsConfigs(model, directory, problems), problems)).toEqual([])
    expectGolden('core/swarm.md', 'refused', formatError(errorOf(() => problems.refuse())).join('\n'))
  })

  test('is a warning where it only has no effect', () => {
    const problems = new Problems()
    const volumes = [{ type: 'volume', source: 'data', target: '/data' }]
    const services = {
      web: { image: 'a', container_name: 'web', shm_size: '64', privileged: false, expose: ['80'], build: null },
      db: { image: 'b', shm_size: '64', volumes },
      placed: { image: 'b', volumes, deploy: { placement: { constraints: ['node.hostname==n1'] } } },
    }
    const said = judgeForSwarm({ name: 'shop', services, volumes: { data: null } }, problems)
    expect(problems.found).toEqual([])
    expectGolden('core/swarm.md', 'ignored', said.join('\n'))
  })

  test('a file that is only read becomes a config; paths elsewhere are those of the nodes', () => {
    const directory = project()
    const elsewhere = { type: 'bind', source: '/etc/localtime', target: '/etc/localtime' }
    const file = { type: 'bind', source: `${directory}/run.sh`, target: '/run.sh', read_only: true }
    const model: ComposeModel = { name: 'shop', services: { web: { image: 'a', volumes: [elsewhere, file] } } }
    const { services, configs } = bindsAsConfigs(model, directory, new Problems())
    expect([services['web']?.volumes, configs]).toEqual([
      [elsewhere],
      { 'file-run.sh': { name: 'shop_file-run.sh', file: `${directory}/run.sh` } },
    ])
    expect(services['web']?.configs).toMatchObject([{ source: 'file-run.sh', target: '/run.sh' }])
  })
})
