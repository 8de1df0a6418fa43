import { join } from 'node:path'
import { type Engine, engineOf } from './engine.ts'
import { type HostName, LAB_DIR } from './lab.ts'

/**
 * This machine as an operator's: the program runs here, builds on the engine of a lab host, and reaches the others by the
 * lab's ssh and its keys.
 */
export function laptop(builder: HostName, more: Record<string, string> = {}): Engine {
  const bin = join(LAB_DIR, 'bin')
  return engineOf({
    name: `laptop, building on ${builder}`,
    ip: '127.0.0.1',
    folders: join(process.env['TMPDIR'] ?? '/tmp', 'stagecraft-laptop'),
    seenHere: (path) => path,
    argvOf: (argv) => [...argv],
    environment: {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('STAGECRAFT_'))),
      PATH: `${bin}:${process.env['PATH']}`,
      DOCKER_CONFIG: join(LAB_DIR, 'docker'),
      DOCKER_HOST: `unix://${join(LAB_DIR, 'hosts', builder, 'run/docker.sock')}`,
      ...more,
    },
  })
}
