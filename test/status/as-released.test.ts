import { describe, expect, test } from 'bun:test'
import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isAsReleased } from '../../lib/status/environment.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { isQuestion } from '../fakes/engine.ts'
import { deployed, drift, HOUR, look, printed, shops } from '../scenes/status.ts'
import { expectGolden } from '../support/golden.ts'

const shop = shops()

describe('what runs as released', () => {
  test('is shown service by service, with the last releases and the lock', async () => {
    const project = await deployed(shop())
    project.engine.state.now += 3 * HOUR
    const status = await look(project)
    expectGolden('commands/status.md', 'as-released', printed(project, status))
    expect([isAsReleased(status), drift(status)]).toEqual([true, []])
  })

  test('is so after a release that changed nothing, and after a rollback', async () => {
    const project = await deployed(await deployed(shop()))
    project.engine.sources = { web: 'web two' }
    await deployed(project)
    await project.rollback()
    const status = await look(project)
    expect(drift(status)).toEqual([])
    expect(status.serving?.version).toBe('v2')
    expect(status.services?.map(({ service, containers: [first] }) => `${service} ${first?.version}`)).toEqual([
      'cache v2',
      'db v2',
      'migrate v2',
      'web v2',
    ])
  })

  test('needs no job that ran once, and no service without replicas', async () => {
    const project = await deployed(shop({ spare: { image: 'redis:7', scale: 0 } }))
    project.engine.state.containers = project.engine.state.containers.filter(({ service }) => service !== 'migrate')
    const status = await look(project)
    expect(drift(status)).toEqual([])
    expect(printed(project, status)).toMatch(/migrate +- +- +job +has run +- +-\n/)
    expect(printed(project, status)).toMatch(/spare +- +- +0\/0 +- +- +-\n/)
  })

  test('asks the engine and changes nothing, anywhere', async () => {
    const project = await deployed(shop())
    project.engine.calls = []
    const folder = join(project.folder, '.stagecraft')
    const files = () =>
      readdirSync(folder, { recursive: true }).map((file) => {
        const { mtimeMs, size } = statSync(join(folder, String(file)))
        return `${file} ${mtimeMs} ${size}`
      })
    const before = files()
    project.engine.model = undefined // the Compose file is broken by now
    await look(project)
    expect(files()).toEqual(before)
    expect(project.engine.calls.filter((argv) => !isQuestion(argv))).toEqual([])
    expect(project.engine.calls.some((argv) => argv.includes('compose'))).toBe(false)
  })
})

describe('what the live release has copies of', () => {
  test('is named, and what is not the same any more in the folder; the exit code is as before', async () => {
    const mount = (path: string) => ({ type: 'bind', source: path, target: path, read_only: true })
    const project = shop()
    const { folder } = project
    for (const path of ['certs/a.pem', 'pages/index.html', 'conf/app.toml']) project.write(path, 'one')
    const volumes = [mount(`${folder}/certs`), mount(`${folder}/pages`), mount(`${folder}/absent`)]
    const services = {
      db: { image: 'postgres:16' },
      cache: { image: 'redis:7', volumes, configs: [{ source: 'app' }, { source: 'text' }] },
    }
    const configs = { app: { file: `${folder}/conf/app.toml` }, text: { content: 'words' } }
    project.engine.model = composeModel('shop', { services, configs })
    const { error } = await project.deploy()
    if (error) throw error
    const here = async () => (await look(project)).copies.map(({ path, here }) => `${path} ${here}`)
    expect(await here()).toEqual(['./absent same', './certs same', './conf/app.toml same', './pages same'])
    project.write('certs/a.pem', 'two')
    rmSync(join(folder, 'pages'), { recursive: true })
    const status = await look(project)
    expect([isAsReleased(status), status.drift]).toEqual([true, []])
    const lines = printed(project, status).replace('./absent, ', '').split('\n')
    expectGolden(
      'commands/status.md',
      'copies',
      lines.filter((line) => /^(kept|changed|not here)/.test(line)).join('\n'),
    )
  })
})
