import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { fakeRelease, PUBLIC_KEY } from '../fakes/release.ts'
import { isUp, LAB_DIR } from '../support/lab.ts'
import { temporaries } from '../support/temporary.ts'

const ROOT = join(import.meta.dir, '../..')
const keep = temporaries()
const env = { ...process.env, PATH: `${join(LAB_DIR, 'bin')}:${process.env['PATH']}` }

function start(argv: readonly string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...argv], { env, cwd: ROOT, stdin: 'ignore' })
  return { exit: exitCode, said: stdout.toString() + stderr.toString() }
}
const on = (line: string) => start(['ssh', 'deploy@h9', line])

describe.skipIf(!isUp('h9'))('install.sh over SSH', () => {
  test('puts a release on a server whose folder belongs to the login, and leaves nothing where it may not write', () => {
    const folder = `/tmp/stagecraft-install-${process.pid}`
    const install = (version: string, into: string) => {
      const from = keep(fakeRelease(version)).path
      const to = ['--to', 'deploy@h9', '--into', into]
      return start(['sh', 'install.sh', '--key', PUBLIC_KEY, '--from', from, ...to])
    }
    try {
      expect(install('0.1.0', folder)).toMatchObject({ exit: 0 })
      const { exit, said } = install('0.2.0', folder)
      expect(said).toEndWith(`stagecraft 0.2.0 is installed on deploy@h9: ${folder}/stagecraft\n`)
      expect(exit).toBe(0)
      expect(on(`ls -A ${folder}; ${folder}/stagecraft --version; ${folder}/stagecraft.old --version`).said).toBe(
        'stagecraft\nstagecraft.old\nstagecraft 0.2.0 (abc1234, bun-linux-x64)\nstagecraft 0.1.0 (abc1234, bun-linux-x64)\n',
      )
      const refused = install('0.3.0', '/usr/local/bin')
      expect(refused.said).toEndWith('stagecraft: cannot write in /usr/local/bin: name another folder by --into\n')
      expect(refused.exit).toBe(1)
      expect(on('ls -A /usr/local/bin').said).not.toContain('.stagecraft')
    } finally {
      on(`rm -rf ${folder}`)
    }
  })

  test('says that a host cannot be reached', () => {
    const { path } = keep(fakeRelease('0.1.0'))
    const { exit, said } = start(['sh', 'install.sh', '--from', path, '--to', 'deploy@nowhere.invalid'])
    expect(said).toEndWith('stagecraft: cannot look at deploy@nowhere.invalid\n')
    expect(exit).toBe(1)
  })
})
