import { describe, expect, test } from 'bun:test'
import { openDocker } from '../../lib/docker/client.ts'
import { retire } from '../../lib/phases/rollout/retire.ts'
import { undoRollout } from '../../lib/phases/rollout/undo/host.ts'
import type { Journal } from '../../lib/record/journal.ts'
import type { Exec } from '../../lib/system/exec.ts'

/** An engine on which the project has the container `own`; everything else belongs to other projects. */
function engine(more: Readonly<Record<string, string>> = {}) {
  const asked: string[] = []
  const own = {
    ...{ Id: 'own', Name: '/shop-old-1', State: { Status: 'running' } },
    Config: { Labels: { 'com.docker.compose.service': 'old' } },
  }
  const answers: Readonly<Record<string, string>> = {
    'ps -aq --no-trunc --filter label=com.docker.compose.project=shop': 'own\n',
    'container inspect own': JSON.stringify([own]),
    'network ls': 'shop_unused\n',
    info: '2026-11-22T08:00:05.000000000Z\n',
    ...more,
  }
  const exec: Exec = async (argv) => {
    const line = argv.slice(1).join(' ')
    asked.push(line)
    const stdout = Object.entries(answers).find(([start]) => line.startsWith(start))?.[1] ?? ''
    return { argv, code: 0, stdout, stderr: '', timedOut: false }
  }
  const changes = () =>
    asked.filter((line) => /^(stop|rm|start|network (rm|disconnect)|exec|logs|compose)\b/.test(line))
  return { docker: openDocker(exec, (text) => text), changes }
}

const before = (id: string) => {
  return { id, name: `shop-${id}-1`, service: 'old', image: 'x', state: 'running', health: 'none' } as const
}
/** A journal as a host may write it: it names a container and networks of other projects. */
const JOURNAL: Journal = {
  ...{ step: 'retire', began_at: '2026-11-22T08:00:00.000Z', handover: false },
  before: [before('own'), before('foreign')],
  ...{ made: ['foreign'], touched: ['old'], replaced: ['other_default'], unused: ['shop_unused', 'other_default'] },
}
let time = 0
const clock = { now: () => (time += 1000), sleep: async () => {} }
const world = { emit: () => {}, clock, name: 'shop' }

describe('a journal that names containers and networks of others does not change them', () => {
  test('retire() removes only what the engine says is of this project', async () => {
    const { docker, changes } = engine()
    const drain = { command: ['true'], wait: 0 }
    const services = { old: { rollout: { strategy: 'rolling', drain } } } as never // a service as in a bundle
    const kept: string[] = []
    const keepLog = (name: string) => kept.push(name)
    await retire(
      { ...world, docker, services, keepLog },
      { journal: { ...JOURNAL, rolling: ['old'] }, retiring: ['old'] },
    )
    expect(changes().filter((line) => line.includes('foreign') || line.includes('other'))).toEqual([])
    expect(changes().filter((line) => !line.startsWith('logs'))).toEqual([
      ...['exec own true', 'stop own', 'rm --force --volumes own', 'network rm shop_unused'],
    ])
    expect(kept).toEqual(['shop-own-1'])
  })

  test('undoRollout() stops no other container that is about to stop, and removes no network of others', async () => {
    const { docker, changes } = engine({ events: 'foreign\nown\n' })
    const project = { environment: { services: {} }, topology: { order: ['old'], needs: {}, jobs: [] } }
    const served = { model: { name: 'shop', services: { old: {} } }, modelFile: '/served', directory: '/' }
    const more = { settings: {}, proxy: undefined }
    const undo = { ...world, ...more, docker, journal: JOURNAL, modelFile: '/new', served, project }
    await undoRollout(undo, new Error('x')).catch(() => {}) // this engine starts nothing
    expect(changes().filter((line) => line.includes('foreign') || line.includes('other'))).toEqual([])
    expect(changes()[0]).toBe('stop own')
  })
})
