import { describe, expect, test } from 'bun:test'
import { scaledLines } from '../../../lib/cli/commands/scale.ts'
import { scratch, stagecraftHere } from '../../support/command-line.ts'
import { expectGolden } from '../../support/golden.ts'
import { temporaries } from '../../support/temporary.ts'

const temporary = temporaries()

const scale = async (config: string, ...words: string[]) => {
  const folder = temporary(scratch({ 'stagecraft.yml': config, 'compose.yaml': 'services: {web: {}}\n' }))
  return stagecraftHere(['scale', ...words], { cwd: folder.path })
}

describe('stagecraft scale', () => {
  test('says what each service had, and has', () => {
    const services = [
      { service: 'web', from: 2, to: 4 },
      { service: 'worker', from: 1, to: 2 },
    ]
    expectGolden('commands/scale.md', 'scaled', scaledLines(services).join('\n'))
    expect(scaledLines([{ service: 'web', from: 4, to: 4 }])).toEqual(['web  4 replicas already'])
  })

  test.each([
    [[], 'which service, and how many'],
    [['web'], '"web" is not of the form service=number'],
    [['web=-1'], '"web=-1" is not of the form service=number'],
    [['web=2', 'web=3'], 'web is named twice'],
  ])('%p: exit 2', async (words, reason) => {
    const { exit, stderr } = await scale('environments: {prod: {engine: swarm}}\n', ...words)
    expect([exit, stderr]).toEqual([2, expect.stringContaining(`Cannot run "scale": ${reason}`)])
  })

  test('of a Compose project: exit 2, and what to do', async () => {
    const { exit, stderr } = await scale('environments: {prod: {}}\n', 'web=3')
    expect([exit, stderr]).toEqual([
      2,
      expect.stringContaining('Set the number in the Compose file (`scale: 3` of web), then: stagecraft deploy'),
    ])
  })
})

describe('what a Swarm does not have', () => {
  test.each([
    [['tunnel', 'web', '80'], 'Publish the port with `mode: host`'],
    [['maintenance', 'on'], 'Stagecraft has no proxy on a Swarm'],
    [['proxy', 'status'], 'Stagecraft has no proxy on a Swarm'],
    [['job', 'run', 'web'], 'docker service update --force <stack>_<job>'],
    [['state', 'move'], 'the Swarm itself keeps the releases'],
  ])('%p is refused with what to do instead: exit 2', async (words, hint) => {
    const folder = temporary(scratch({ 'stagecraft.yml': 'environments: {prod: {engine: swarm}}\n' }))
    const { exit, stderr } = await stagecraftHere(words, { cwd: folder.path })
    expect([exit, stderr]).toEqual([2, expect.stringContaining('it is on a Swarm, where this command does not work')])
    expect(stderr.replaceAll(/\s+/g, ' ')).toContain(hint)
  })
})
