import { expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { classify } from '../../lib/compose/topology.ts'
import { HostAddress } from '../../lib/config/host-address.ts'
import { localHost } from '../../lib/hosts/host.ts'
import { placeOnHosts } from '../../lib/project/placement.ts'
import type { Project } from '../../lib/project/settings.ts'
import { composeModel } from '../fakes/compose-model.ts'

type Settings = Record<string, { hosts?: string[]; job?: boolean }>

const addresses = (names: string[]) => names.map((name) => new HostAddress(name))

function project(services: Record<string, Service>, settings: Settings = {}, hosts = ['a', 'b', 'c']): Project {
  const model = composeModel('shop', { services, volumes: { data: {} }, secrets: { key: { file: '/key' } } })
  const jobs = Object.keys(settings).filter((name) => settings[name]?.job)
  const all = hosts.map((name) => ({
    ...localHost(async () => Promise.reject(), '/x'),
    isLocal: false,
    name,
    key: name,
  }))
  const named = Object.fromEntries(
    Object.entries(settings).map(([name, { hosts: own, ...one }]) => [
      name,
      { ...one, ...(own && { hosts: addresses(own) }), rollout: {} },
    ]),
  )
  return {
    ...{ host: all[0], hosts: all, model, topology: classify(model, jobs) },
    environment: { name: 'prod', hosts: addresses(hosts), env_file: [], data: [], keep: 5, services: named },
  } as unknown as Project // what else a project has is nothing to placement
}

const placed = (one: Project) =>
  Object.fromEntries(
    placeOnHosts(one).map((each) => [each.project.host.name, Object.keys(each.project.model.services).toSorted()]),
  )
const refusal = (one: Project) => {
  try {
    return JSON.stringify(placed(one))
  } catch (error) {
    return String((error as Error).message)
  }
}

const data: Service = { volumes: [{ type: 'volume', source: 'data', target: '/data' }] }
const after = (job: string): Service => ({ depends_on: { [job]: { condition: 'service_completed_successfully' } } })

test('a service is on all hosts, or where it is placed; a job on the first of them', () => {
  const services = { web: {}, db: data, job: {} }
  expect(placed(project(services, { db: { hosts: ['c'] }, job: { job: true } }))).toEqual({
    a: ['job', 'web'],
    b: ['web'],
    c: ['db', 'web'],
  })
  expect(placed(project({ job: {} }, { job: { job: true, hosts: ['b', 'c'] } }))).toEqual({ a: [], b: ['job'], c: [] })
})

test('secrets, volumes and needs go only to hosts that have use for them', () => {
  const web: Service = { secrets: [{ source: 'key' }], depends_on: { db: { condition: 'service_healthy' } } }
  const [a, b] = placeOnHosts(project({ web, db: data }, { web: { hosts: ['a'] }, db: { hosts: ['b'] } }, ['a', 'b']))
  expect([a?.project.model.secrets, b?.project.model.secrets].map((one) => Object.keys(one ?? {}))).toEqual([
    ['key'],
    [],
  ])
  expect([a?.project.model.volumes, b?.project.model.volumes].map((one) => Object.keys(one ?? {}))).toEqual([
    [],
    ['data'],
  ])
  expect(a?.project.topology).toEqual({ order: ['web'], needs: { web: [] }, jobs: [] })
})

test('services that wait for a job on another host are known, and none waits in a circle', () => {
  const one = project({ web: after('job'), job: {} })
  expect(placeOnHosts(one).map(({ awaits }) => awaits)).toEqual([{}, { web: ['job'] }, { web: ['job'] }])
  const circle = { x: after('one'), y: after('two'), one: {}, two: {} }
  const settings = { x: { hosts: ['b'] }, y: { hosts: ['a'] }, one: { hosts: ['a'] }, two: { hosts: ['b'] } }
  expect(refusal(project(circle, settings, ['a', 'b']))).toBe(
    'Cannot order the hosts: a waits for two, whose host waits itself',
  )
})

test('what cannot be placed is refused', () => {
  expect(refusal(project({ db: data }))).toBe('Cannot place db on 3 hosts: it keeps data (volume data)')
  expect(refusal(project({ db: data }, {}, ['a']))).toBe('{"a":["db"]}')
  expect(refusal(project({ db: data }, { db: { hosts: ['a', 'b'] } }))).toBe('{"a":["db"],"b":["db"],"c":[]}')
  const bind = (source: string): Service => ({ volumes: [{ type: 'bind', source, target: '/x' }] })
  expect(refusal(project({ web: bind('/var/uploads') }))).toBe('Cannot place web on 3 hosts: it keeps data (/x)')
  expect(refusal(project({ web: bind('/var/run/docker.sock') }))).toBe('{"a":["web"],"b":["web"],"c":["web"]}')
  expect(refusal(project({ web: {} }, { web: { hosts: ['d'] } }))).toBe('Cannot place web on d: prod has no such host')
  expect(refusal(project({ web: {} }, { web: { hosts: ['d'] } }, []))).toBe(
    'Cannot place web on d: prod has no such host',
  )
  const side: Service = { network_mode: 'service:web' }
  expect(refusal(project({ web: {}, side }, { web: { hosts: ['a'] } }))).toBe(
    'Cannot place side on b: it is joined to web',
  )
})
