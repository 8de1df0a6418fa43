import { expect, test } from 'bun:test'
import { didYouMean, namesHint, nearest } from '../../lib/util/nearest.ts'

test('nearest() finds what a mistyped name meant', () => {
  expect(nearest('dploy', ['build', 'deploy'])).toBe('deploy')
  expect(nearest('dry-rnu', ['dry-run', 'env'])).toBe('dry-run')
  expect(nearest('enviroments', ['environments', 'project'])).toBe('environments')
  expect(nearest('PROD', ['prod'])).toBe('prod')
})

test('nearest() says nothing when nothing is near', () => {
  expect(nearest('toString', ['init', 'plan', 'releases'])).toBeUndefined()
  expect(nearest('', ['env', 'a'])).toBe('a')
  expect(nearest('x'.repeat(100_000), ['x'.repeat(99)])).toBeUndefined()
  expect(nearest('x', [])).toBeUndefined()
})

test('nearest() takes a part of a name for the only one that contains it', () => {
  expect(nearest('web-1', ['deploy@web-1', 'deploy@web-2'])).toBe('deploy@web-1')
  expect(nearest('prod', ['production', 'staging'])).toBe('production')
  expect(nearest('web', ['deploy@web-1', 'deploy@web-2'])).toBeUndefined()
  expect(nearest('pr', ['production'])).toBeUndefined()
})

test('namesHint() suggests the nearest name, and lists ten at most', () => {
  expect(namesHint('Services', 'wbe', ['db', 'web'])).toBe('Did you mean "web"? Services: db, web')
  expect(namesHint('Services', 'x', [])).toBe('Services: none')
  const many = Array.from({ length: 12 }, (_, at) => `service-${at}`)
  expect(namesHint('Services', 'other', many)).toEndWith('service-8, service-9 and 2 more')
  expect(didYouMean('web', ['web'])).toBe('')
})
