import { expect, test } from 'bun:test'
import { parseConfig } from '../../lib/config/parse.ts'
import { errorOf, formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

const prod = (settings: string) => `environments: {prod: {${settings}}}`

test('an environment is on Compose unless it says swarm', () => {
  const engine = (settings: string) => parseConfig(prod(settings)).environments['prod']?.engine
  expect([engine(''), engine('engine: compose'), engine('engine: swarm')]).toEqual([undefined, 'compose', 'swarm'])
  const { detail } = errorOf(() => parseConfig(prod('engine: kubernetes')))
  expect(detail).toBe('stagecraft.yml:1:31: must be compose or swarm, not "kubernetes"')
})

test('what a Swarm does not have is refused, where it is written', () => {
  const text = [
    'environments:',
    '  prod:',
    '    engine: swarm',
    '    data: [./uploads]',
    '    services:',
    '      web: {expose: {host: shop.example.com, port: 3000}}',
    '      db: {rollout: {strategy: hold}}',
    '      worker: {rollout: {strategy: rolling, health_timeout: 90s, min_ready: 1s, order: stop-first}, job: false}',
  ].join('\n')
  expectGolden('core/swarm.md', 'config', formatError(errorOf(() => parseConfig(text))).join('\n'))
  expect(parseConfig(text.replaceAll('swarm', 'compose')).environments['prod']?.engine).toBe('compose')
})

test.each([
  ['proxy: {http: 8080}', 'proxy'],
  ['proxy: {https: 8443}', 'proxy'],
  ['root: /srv', 'root'],
  ['services: {web: {hosts: root@a}}', 'hosts'],
  ['services: {web: {moved_from: root@a}}', 'moved_from'],
  ['services: {web: {job: {schedule: "@daily"}}}', 'job'],
  ['services: {web: {rollout: {drain: {command: true}}}}', 'drain'],
  ['services: {web: {rollout: {drain_timeout: 5s}}}', 'drain_timeout'],
])('so is %s', (settings) => {
  const { detail } = errorOf(() => parseConfig(prod(`engine: swarm, ${settings.replace('true', '"true"')}`)))
  expect(detail).toMatch(/^stagecraft\.yml:1:\d+: must be left out with `engine: swarm`: /)
})
