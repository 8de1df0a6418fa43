import { expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import { type App, deploy, expectCode, idle, sharedFolder, writeApp } from './app.ts'

// Hooks of Compose, where its version (2.26) does not run them.
const folder = sharedFolder(host('h1'), 'hooks')

const app = (hooks: Readonly<Record<string, unknown>>): App => ({ services: { web: { ...idle, ...hooks } } })

test('a Compose without pre_start is exit 3, with the version that has it; nothing is created', async () => {
  writeApp(folder, app({ pre_start: [{ command: ['true'] }] }))
  for (const command of ['plan', 'deploy']) {
    const ran = await folder.stagecraft([command])
    expectCode(ran, 3)
    expect(ran.stderr).toContain('pre_start')
    expect(ran.stderr).toContain('hint: pre_start needs Docker Compose 5.3 or later: update it.')
    expect(ran.stderr).toContain('{engine: command, service: …, command: …}')
  }
  expect(await folder.containers()).toEqual([])
})

test('a Compose that reads post_start and does not run it: a deploy says so', async () => {
  writeApp(folder, app({ post_start: [{ command: ['true'] }] }))
  const { stderr } = await deploy(folder, 'v1')
  const { stdout } = await folder.docker(['compose', 'version', '--short'])
  const isOld = /^v?(2\.[12]?\d\.|1)/.test(stdout.trim())
  expect(stderr.includes('does not run post_start of web: 2.30 is the first that does')).toBe(isOld)
})
