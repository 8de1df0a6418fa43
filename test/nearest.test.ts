import { expect, test } from 'bun:test'
import { nearest } from '../lib/nearest.ts'

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
