import { describe, expect, test } from 'bun:test'
import { modelText, unescapeDollars } from '../../lib/compose/load.ts'
import type { ComposeModel } from '../../lib/compose/model.ts'
import { modelProblem, refuseUnkept, textProblem } from '../../lib/compose/released/check.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { errorOf, formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

const HASH = '0123456789abcdef0123456789abcdef'
const KEPT = `/srv/app/.stagecraft/content/${HASH}`

/** What the model of a release may hold, one of everything. */
const MODEL = {
  name: 'shop',
  services: {
    web: {
      image: 'shop-web:sc-0123456789ab',
      command: ['sh', '-c', 'echo $HOME ${CI_TOKEN} $$'],
      entrypoint: null,
      environment: { A: 'a$b', DEBUG: null, EMPTY: '' },
      volumes: [
        { type: 'bind', source: KEPT, target: '/etc/x', read_only: true, bind: { create_host_path: false } },
        { type: 'volume', source: 'data', target: '/data', volume: { nocopy: true } },
        { type: 'tmpfs', target: '/run', tmpfs: { size: '1048576' } },
      ],
      configs: [{ source: 'app-0123456789ab', target: '/app', uid: '1', gid: '1', mode: '0400' }],
      secrets: [{ source: 'token-0123456789ab', target: '/run/secrets/token' }],
      networks: { default: null, back: { aliases: ['w'], driver_opts: { a: 'b' } } },
      deploy: { replicas: 2, resources: { limits: { cpus: 0.5 } }, 'x-kept': { a: [1] } },
      post_start: [{ command: ['true'], environment: { B: 'c' } }],
      pre_start: [
        {
          command: ['true'],
          user: 'root',
          working_dir: '/',
          privileged: true,
          per_replica: false,
          environment: { B: 'c' },
        },
      ],
      healthcheck: { test: ['CMD', 'true'] },
      labels: { 'a.b': 'c' },
    },
  },
  networks: { default: { name: 'shop_default', ipam: {} }, back: { name: 'b', external: true } },
  volumes: { data: { name: 'shop_data', driver_opts: { type: 'none', o: 'bind', device: '/srv/data' } } },
  configs: { 'app-0123456789ab': { name: 'shop_app-0123456789ab', file: KEPT } },
  secrets: { 'token-0123456789ab': { name: 'x', file: KEPT }, given: { name: 'given', external: true } },
} satisfies ComposeModel

type Parts = Record<string, unknown>
type Change = (model: Parts) => void
/** @param path with dots; all but its last key are there */
const put =
  (path: string, value: unknown): Change =>
  (model) => {
    const keys = path.split('.')
    const last = keys.pop() ?? ''
    const parent = keys.reduce((parts, key) => parts[key] as Parts, model)
    parent[last] = value
  }
const web = (more: object): Change => put('services.web', { ...MODEL.services.web, ...more })
const changed = (change: Change): ComposeModel => {
  const model = structuredClone(MODEL)
  change(model)
  return model
}

const READS_HERE: readonly [at: string, change: Change][] = [
  ['services.web.env_file', web({ env_file: ['/root/.aws/credentials'] })],
  ['services.web.label_file', web({ label_file: ['/root/.ssh/id_rsa'] })],
  ['services.web.extends', web({ extends: { file: '/root/compose.yaml', service: 'x' } })],
  ['services.web.build', web({ build: { context: '/root' } })],
  ['services.web.develop', web({ develop: { watch: [] } })],
  ['services.web.provider', web({ provider: { type: '/bin/evil' } })],
  ['services.web.models', web({ models: { llm: {} } })],
  ['services.web.use_api_socket', web({ use_api_socket: true })],
  ['services.web.depends_on', web({ depends_on: { other: { condition: 'service_started' } } })],
  ['services.web.profiles', web({ profiles: ['a'] })],
  ['services.web.pull_policy', web({ pull_policy: 'always' })],
  ['services.web.not_yet_invented', web({ not_yet_invented: true })],
  ['services.web.environment.PATH', web({ environment: { PATH: null } })],
  ['services.web.environment.HOME', web({ environment: { HOME: null } })],
  ['services.web.environment.DOCKER_AUTH_CONFIG', web({ environment: { DOCKER_AUTH_CONFIG: null } })],
  ['services.web.environment', web({ environment: ['CI_TOKEN'] })],
  ['services.web.post_start[0].environment.HOME', web({ post_start: [{ environment: { HOME: null } }] })],
  ['services.web.pre_start[0].environment.HOME', web({ pre_start: [{ environment: { HOME: null } }] })],
  ['services.web.pre_start[0].image', web({ pre_start: [{ command: ['a'], image: 'busybox' }] })],
  ['services.web.pre_start[0].per_replica', web({ pre_start: [{ command: ['a'], per_replica: true }] })],
  ['services.web.pre_start[0].env_file', web({ pre_start: [{ command: ['a'], env_file: ['/root/.env'] }] })],
  ['services.web.pre_stop[0].environment', web({ pre_stop: [{ command: ['a'], environment: ['CI_TOKEN'] }] })],
  ['services.web.volumes[0].source', web({ volumes: [{ type: 'bind', source: '~/.ssh', target: '/x' }] })],
  ['services.web.volumes[0].source', web({ volumes: [{ type: 'bind', source: '.', target: '/x' }] })],
  ['services.web.volumes[0]', web({ volumes: ['~/.ssh:/x'] })],
  ['services.web.volumes[0].type', web({ volumes: [{ type: 'new', source: '/', target: '/x' }] })],
  ['services.web.volumes[0].from', web({ volumes: [{ type: 'bind', source: '/', target: '/x', from: 'y' }] })],
  ['services.web.volumes', web({ volumes: { a: 'b' } })],
  ['services.web.configs[0].environment', web({ configs: [{ source: 'a', environment: 'CI_TOKEN' }] })],
  ['services.web.secrets[0]', web({ secrets: ['token'] })],
  ['services.web.image', web({ image: '--privileged' })],
  ['services.web.deploy.<<', web({ deploy: { '<<': { a: 1 } } })],
  ['services.web.labels.<<', web({ labels: { '<<': 'a' } })],
  ['configs.leak.environment', put('configs.leak', { environment: 'CI_TOKEN' })],
  ['secrets.leak.environment', put('secrets.leak', { name: 'x', environment: 'CI_TOKEN' })],
  ['secrets.leak.file', put('secrets.leak', { file: '/root/.ssh/id_rsa' })],
  ['configs.leak.file', put('configs.leak', { file: `/srv/content/${HASH}/../../../root/x` })],
  ['configs.leak.file', put('configs.leak', { file: `/srv/../content/${HASH}` })],
  ['configs.leak.file', put('configs.leak', { file: `content/${HASH}` })],
  ['configs.leak.file', put('configs.leak', { file: ['/root/x'] })],
  ['volumes.data.driver_opts', put('volumes.data.driver_opts.device', '~/.ssh')],
  ['volumes.data.driver_opts', put('volumes.data.driver_opts.device', './x')],
  ['networks.back.name', put('networks.back.name', '--all')],
  ['volumes.a b', put('volumes.a b', null)],
  ['include', put('include', ['/root/compose.yaml'])],
  ['models', put('models', {})],
  ['extends', put('extends', { file: '/root/x' })],
  ['<<', put('<<', { services: {} })],
  ['version', put('version', '3')],
  ['name', put('name', '../other')],
  ['name', put('name', undefined)],
  ['services', put('services', [])],
  ['services', put('services', null)],
  ['services.web', put('services.web', 'busybox')],
  ['services.web', put('services.web', null)],
  ['services.--help me', put('services.--help me', {})],
  ['services.constructor', put('services.constructor', {})],
]

describe('modelProblem()', () => {
  test('has nothing against what a release holds', () => {
    expect(modelProblem(MODEL)).toBeUndefined()
  })

  test.each(READS_HERE)('refuses %s (%#)', (at, change) => {
    expect(modelProblem(changed(change))?.at).toBe(at)
  })

  test('refuses what is nested so deep that reading it would end the program', () => {
    let deep: unknown = 1
    for (let depth = 0; depth < 100; depth++) deep = { deep }
    expect(modelProblem(changed(web({ deploy: deep })))?.is).toBe('is nested too deep')
  })

  test('lets the files of what was adopted be where they are, but not relative to anything', () => {
    const at = (file: string) => changed(put('configs.own', { file }))
    expect(modelProblem(at('/srv/app/own.conf'), 'any')).toBeUndefined()
    expect(modelProblem(at('/srv/app/own.conf'))?.at).toBe('configs.own.file')
    expect(modelProblem(at('~/own.conf'), 'any')?.at).toBe('configs.own.file')
  })
})

describe('refuseUnkept()', () => {
  test('says what a release cannot keep before there is one', () => {
    const refuse = () => refuseUnkept(changed(web({ use_api_socket: true })))
    expect(refuse).toThrow(
      new StagecraftError(
        'config',
        'Cannot release this Compose file: services.web.use_api_socket is not allowed in a release',
      ),
    )
    expect(() => refuseUnkept(MODEL)).not.toThrow()
  })

  test('refuses a hook in an image of its own, and says what to do', () => {
    const model = changed(web({ pre_start: [{ command: ['true'], image: 'busybox' }] }))
    const error = errorOf(() => refuseUnkept(model))
    expectGolden('core/compose.md', 'pre-start-image', formatError(error).join('\n'))
  })
})

describe('textProblem()', () => {
  const problem = (text: string) => textProblem(text, JSON.parse(text))
  const text = modelText(MODEL)

  test('has nothing against what was written, however it is spaced', () => {
    expect(problem(text)).toBeUndefined()
    expect(problem(JSON.stringify(JSON.parse(text)))).toBeUndefined()
    expect(problem(JSON.stringify(JSON.parse(text), null, '\t').replaceAll('\n', '\r\n'))).toBeUndefined()
  })

  test.each([
    ['a variable', text.replace('"EMPTY": ""', '"EMPTY": "${CI_TOKEN}"'), 'services.web.environment.EMPTY'],
    ['a variable in a list', text.replace('"true"', '"$CI_TOKEN"'), 'services.web.post_start.0.command.0'],
    ['three dollars', text.replace('a$$b', () => 'a$$$b'), 'services.web.environment.A'],
    ['a key twice', text.replace('"entrypoint"', '"image":"other","image"'), 'the file'],
    ['an escape that YAML has not', text.replace('"shop_default"', '"shop_default\\ud83d\\ude00"'), 'the file'],
    ['an escape that hides a word', text.replace('"image"', '"\\u0069mage"'), 'the file'],
    ['a merge key', text.replace('"labels"', '"<<"'), 'services.web.<<'],
  ])('refuses %s', (_, hostile, at) => {
    expect(hostile).not.toBe(text)
    expect(problem(hostile)?.at).toBe(at)
  })

  test.each(['\u0085', '\u2028', '\u007f', '\ufeff', '\u009b', '😀', '\t', '"\\'])('%j stays what it is', (odd) => {
    const model = changed(web({ environment: { A: `a${odd}b` } }))
    const written = modelText(model)
    expect(written).not.toMatch(/[\u007f-\u009f\u2028\u2029\ufeff]/)
    expect(problem(written)).toBeUndefined()
    expect(unescapeDollars(JSON.parse(written))).toEqual(model)
  })
})
