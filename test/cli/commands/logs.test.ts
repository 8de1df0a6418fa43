import { expect, test } from 'bun:test'
import { newShop } from '../../scenes/shop.ts'
import { stagecraftHere } from '../../support/command-line.ts'
import { temporaries } from '../../support/temporary.ts'

const temporary = temporaries()

test('logs --release of a release of which nothing is kept says so', async () => {
  const project = temporary(newShop('logs'))
  const { release } = await project.deploy()
  const { exit, stdout, stderr } = await stagecraftHere(['logs', '--release', 'latest'], { cwd: project.folder })
  expect([exit, stdout]).toEqual([0, ''])
  expect(stderr).toBe(
    `warning: no logs are kept of ${release?.id}: it has rolled no container and run no migration\n` +
      `  hint: What a container that failed printed last: stagecraft releases show ${release?.id}\n`,
  )
})
