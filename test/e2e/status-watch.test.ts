import { beforeAll, describe, expect, test } from 'bun:test'
import { lastLook, WATCH } from '../scenes/watching.ts'
import { host } from '../support/lab.ts'
import { deployVersionOne, expectCode, idle, page, sharedFolder, until } from './app.ts'

// What status --watch shows while containers come and go. While a host cannot be reached: ssh-faults.test.ts.
const h1 = host('h1')

describe('on an engine', () => {
  const folder = sharedFolder(h1, 'watch')
  beforeAll(async () => {
    const port = await h1.freePort()
    const holding = 'x=$$(yes | head -c 5000000); sleep 1d; :' // the last command would replace the shell, and free it
    const other = { ...idle, command: ['sh', '-c', holding], scale: 2 }
    await deployVersionOne(folder, { services: { web: page(port), other } })
  })

  test('it has the figures of each container, and notices a container that is stopped by hand', async () => {
    const watching = folder.startStagecraft(WATCH, { timeout: 600 })
    await until('a first look', () => lastLook(watching) !== undefined || watching.output())
    await until('it has what both of other hold', () => {
      const services = lastLook(watching)?.services ?? []
      const containers = services.flatMap(({ service, containers: own }) => own.map((one) => ({ ...one, service })))
      const isMeasured = containers.every(({ cpu_percent: cpu = -1 }) => cpu >= 0)
      const big = containers.filter(
        ({ service, memory_bytes: memory = 0 }) => service === 'other' && memory > 5_000_000,
      )
      return (containers.length === 3 && big.length === 2 && isMeasured) || JSON.stringify(containers)
    })
    const [web] = (await folder.containers()).filter(({ service }) => service === 'web')
    expectCode(await folder.docker(['stop', web?.id ?? '']), 0)
    await until('it shows that web does not run', () => {
      const found = lastLook(watching)?.services.find(({ service }) => service === 'web')
      return found?.running === 0 || JSON.stringify(found)
    })
    await watching.signal('TERM')
    const { code, stdout, stderr } = await watching.done
    expect([code, stderr]).toEqual([143, ''])
    expect(stdout).toEndWith('{"v":1,"type":"finished","exit":143}\n')
  })
})
