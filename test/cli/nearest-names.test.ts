import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { chooseHosts } from '../../lib/project/live.ts'
import { exitCodeOf, StagecraftError } from '../../lib/util/errors.ts'
import { FakeFleet } from '../fakes/fleet.ts'
import type { FakeProject } from '../fakes/project.ts'
import { newShop } from '../scenes/shop.ts'
import { scratch, stagecraftHere } from '../support/command-line.ts'
import { expectGolden } from '../support/golden.ts'

let shop: FakeProject
const hosts = scratch({
  'stagecraft.yml': `
project: {name: shop}
environments:
  prod:
    hosts: [deploy@web-1, deploy@web-2]
`,
})

beforeAll(async () => {
  shop = newShop('nearest')
  shop.write('stagecraft.yml', 'environments: {prod: {databases: {main: {migrations: {engine: job, service: setup}}}}}')
  shop.engine.model = {
    ...shop.engine.model,
    name: 'shop',
    services: { ...shop.engine.model?.services, setup: { image: 'redis:7', command: ['exit', '0'] } },
  }
  const { error } = await shop.deploy({ version: 'v1.4.2' })
  expect(error).toBeUndefined()
})
afterAll(() => {
  shop.remove()
  hosts.remove()
})

/** Every place of a command line where a name is looked up; what is typed wrong there, and what is suggested. */
const WORDS: readonly (readonly [line: string, exit: number, meant: string])[] = [
  ['dploy', 2, 'deploy'],
  ['releases shwo', 2, 'releases show'],
  ['lock statsu', 2, 'lock status'],
  ['proxy rstart', 2, 'proxy restart'],
  ['state mvoe', 2, 'state move'],
  ['maintenance onn', 2, 'maintenance on'],
  ['migrate rnu', 2, 'migrate run'],
  ['help dploy', 2, 'deploy'],
  ['deploy --versoin v2', 2, '--version'],
  ['releases list --env prdo', 4, 'prod'],
  ['status --env prdo', 4, 'prod'],
  ['plan --env prdo', 4, 'prod'],
  ['down --env pro', 4, 'prod'],
  ['logs wbe', 4, 'web'],
  ['exec wbe', 4, 'web'],
  ['run cahce', 4, 'cache'],
  ['tunnel dbb 5432', 4, 'db'],
  ['start wbe', 4, 'web'],
  ['stop web cahce', 4, 'cache'],
  ['restart wbe', 4, 'web'],
  ['logs --release v1.4.3', 4, 'v1.4.2'],
  ['releases show 1.4.2', 4, 'v1.4.2'],
  ['releases show latset', 4, 'latest'],
  ['releases diff v1.4.2 curent', 4, 'current'],
  ['rollback --to-release v1.42', 4, 'v1.4.2'],
  ['rollback --to-version v14.2', 4, 'v1.4.2'],
]

describe('a name that does not exist, nearest first', () => {
  test.each(WORDS)('stagecraft %s', async (line, exit, meant) => {
    const { exit: code, stderr } = await stagecraftHere(line.split(' '), { cwd: shop.folder })
    expect([code, stderr]).toEqual([exit, expect.stringContaining(`Did you mean "${meant}"?`)])
  })

  test('is shown with those that there are', async () => {
    const { stderr } = await stagecraftHere(['exec', 'wbe'], { cwd: shop.folder })
    expectGolden('core/cli.md', 'unknown-name', stderr)
  })

  test('stagecraft ssh, by the name alone', async () => {
    const { exit, stderr } = await stagecraftHere(['ssh', 'wbe-2'], { cwd: hosts.path })
    expect([exit, stderr]).toEqual([4, expect.stringContaining('hint: Hosts: deploy@web-1, deploy@web-2')])
    const near = await stagecraftHere(['ssh', 'deploy@wbe-2'], { cwd: hosts.path })
    expect(near.stderr).toContain('Did you mean "deploy@web-2"? Hosts: deploy@web-1, deploy@web-2')
  })

  test('--host', () => {
    const settings = { hosts: [{ name: 'deploy@web-1', key: 'web-1' }], environment: { name: 'prod' } }
    const choose = (name: string) => () => chooseHosts(settings as unknown as Parameters<typeof chooseHosts>[0], name)
    expect(choose('deploy@wbe-1')).toThrow('Cannot find host "deploy@wbe-1" in prod')
    expect(hintOf(choose('deploy@wbe-1'))).toBe('Did you mean "deploy@web-1"? Hosts: deploy@web-1')
  })
})

/** Every place of stagecraft.yml. */
const SETTINGS: readonly (readonly [text: string, meant: string])[] = [
  ['environmets: {}', '(did you mean "environments"?)'],
  ['environments: {prod: {env_fil: .env}}', '(did you mean "env_file"?)'],
  ['environments: {prod: {services: {web: {rollout: {strategy: roling}}}}}', 'not "roling" (did you mean "rolling"?)'],
  ['environments: {prod: {services: {web: {rollout: {order: startfirst}}}}}', '(did you mean "start-first"?)'],
  ['environments: {prod: {services: {web: {expose: {host: a.test, port: 1, tls: internl}}}}}', '"internal"?)'],
  [
    'environments: {prod: {databases: {main: {migrations: {engine: comand}}}}}',
    'not "comand" (did you mean "command"?)',
  ],
  [
    'environments: {prod: {databases: {main: {migrations: {engine: job, service: setup, strategy: predeploy}}}}}',
    '"pre_deploy"?)',
  ],
  ['environments: {prod: {services: {wbe: {}}}}', 'Did you mean "web"? Services: cache, db, setup, web'],
  [
    'environments: {prod: {databases: {main: {migrations: {engine: job, service: stup}}}}}',
    'Did you mean "setup"? Services: ',
  ],
]

test.each(SETTINGS)('stagecraft.yml: %s', async (text, meant) => {
  shop.write('stagecraft.yml', text)
  const error: unknown = await shop.open('prod').catch((thrown: unknown) => thrown)
  if (!(error instanceof StagecraftError)) throw new Error(`${text} is accepted`)
  expect([exitCodeOf(error), `${error.message}\n${error.detail}\n${error.hint}`]).toEqual([
    3,
    expect.stringContaining(meant),
  ])
})

test('stagecraft.yml: the host of a service', async () => {
  const fleet = new FakeFleet('nearest')
  fleet.write({ web: { image: 'web:1' } }, { web: '{hosts: bb}' })
  const { error } = await fleet.project.deploy({ environment: 'prod' })
  expect([error?.kind, error?.hint]).toEqual([
    'config',
    'Did you mean "b"? Its hosts, as they are written in stagecraft.yml: a, b, c',
  ])
  fleet.remove()
})

function hintOf(act: () => unknown): string | undefined {
  try {
    act()
  } catch (error) {
    return error instanceof StagecraftError ? error.hint : undefined
  }
  return undefined
}
