import { describe, expect, test } from 'bun:test'
import { openDocker } from '../../lib/docker/client.ts'
import { gate } from '../../lib/docker/gate.ts'
import { freeNetworks } from '../../lib/proxy/own-networks.ts'
import type { Exec } from '../../lib/system/exec.ts'

/** A docker that answers by the start of the command line, and records its calls. */
function docker(answers: Readonly<Record<string, string>>) {
  const asked: string[] = []
  const exec: Exec = async (argv) => {
    const line = argv.slice(1).join(' ')
    asked.push(line)
    const answer = Object.entries(answers).find(([start]) => line.startsWith(start))?.[1] ?? ''
    return { argv, code: 0, stdout: answer, stderr: '', timedOut: false }
  }
  return { docker: openDocker(exec, (text) => text), asked }
}

const container = (id: string, more: object = {}) => ({
  Id: id,
  Name: `/shop-${id}-1`,
  Config: { Labels: { 'com.docker.compose.service': id } },
  State: { Status: 'running' },
  ...more,
})

describe('freeNetworks()', () => {
  test('refuses to touch a container that is not of the project, and then changes nothing', async () => {
    const { docker: engine, asked } = docker({
      'network ls': 'shop_back\n',
      'network inspect': 'web stranger012345678',
      'ps ': 'web\n',
      'container inspect web': JSON.stringify([container('web')]),
      'container inspect stranger012345678': JSON.stringify([container('stranger012345678')]),
    })
    const freeing = freeNetworks(engine, 'shop', ['shop_back'])
    expect(freeing).rejects.toThrow(
      'Cannot recreate network shop_back: container stranger0123 is on it, which is not a service of shop',
    )
    await freeing.catch(() => {})
    expect(asked.filter((line) => /disconnect|network rm/.test(line))).toEqual([])
  })

  test('touches no network that is not of the project, whatever a journal says', async () => {
    const { docker: engine, asked } = docker({ 'network ls': 'shop_back\n', 'network inspect': '' })
    await freeNetworks(engine, 'shop', ['other_default', 'shop_back'])
    expect(asked.filter((line) => line.startsWith('network rm'))).toEqual(['network rm shop_back'])
  })

  test('continues if a container was removed after the network was inspected', async () => {
    const { docker: engine, asked } = docker({ 'network ls': 'shop_back\n', 'network inspect': 'gone' })
    await freeNetworks(engine, 'shop', ['shop_back'])
    expect(asked.at(-1)).toBe('network rm shop_back')
  })
})

test('a job that its restart policy keeps restarting has failed', async () => {
  const crashing = container('job', { RestartCount: 10, State: { Status: 'restarting', ExitCode: 4 } })
  const { docker: engine } = docker({ 'container inspect': JSON.stringify([crashing]), logs: 'boom\n' })
  const target = { service: 'job', ids: ['job'], job: true, healthTimeout: undefined, minReady: undefined }
  const passing = gate(engine, [target], { now: () => 0, sleep: async () => {} }, () => {})
  expect(passing).rejects.toThrow('Cannot start job: the job was restarted 10 times; its exit code is 4')
  await passing.catch(() => {})
})
