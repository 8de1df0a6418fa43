import { createServer, type Server, type Socket } from 'node:net'
import { relay } from '../../docker/streams/relay.ts'
import { findLiveService, type ServiceWish } from '../../project/live.ts'
import type { Settings } from '../../project/settings.ts'
import { untilSignal } from '../../system/signals.ts'
import { errnoOf, StagecraftError } from '../../util/errors.ts'
import { usage } from '../arguments.ts'
import { type Context, command, environmentArgument } from '../command.ts'
import { openSettingsOf } from './release-arguments.ts'

export default command({
  name: 'tunnel',
  description: 'Reach a port of a service from this machine, through its host: nothing is published.',
  args: {
    service: { type: 'positional', required: true, description: 'of the live release' },
    port: { type: 'positional', required: true, description: 'where its container listens' },
    env: environmentArgument,
    host: { type: 'string', valueHint: 'host', description: 'as in stagecraft.yml (default: the first that runs it)' },
    local: { type: 'string', valueHint: 'port', description: 'the port on this machine (default: the same)' },
  },
  examples: [
    ['stagecraft tunnel db 5432 --env prod', 'psql -h 127.0.0.1 reaches the database of prod'],
    ['stagecraft tunnel db 5432 --local 15432', 'on another port of this machine'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment, service or host; no release is live; it has no running container'],
    [5, 'the port of this machine is taken'],
    [8, 'a host or the engine cannot be reached'],
    [9, 'the state cannot be read'],
  ],
  async run({ service, port, env, host, local = port }, context) {
    const [far, near] = [parsePort('port', port), parsePort('--local', local)]
    const settings = await openSettingsOf({ env }, context, {
      onSwarm:
        'Publish the port with `mode: host` in the Compose file, and forward it: ssh -L 8080:localhost:8080 <node>',
    })
    const wish = { service, host }
    await findContainer(settings, wish) // so that a mistake is said now
    const signal = untilSignal()
    const open = new Set<Socket>()
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      open.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => open.delete(socket))
      void carry(socket, { settings, wish, context, port: far })
    })
    await listen(server, near)
    const { name } = settings.environment
    context.report.result('tunnel', { environment: name, service, port: far, local: near }, () => [
      `port ${far} of ${service} in ${name} is at 127.0.0.1:${near}, until Ctrl-C`,
    ])
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    server.close()
    for (const socket of open) socket.destroy()
    return 128 + Number(signal.reason)
  },
})

function parsePort(what: string, text: string): number {
  const port = Number(text)
  if (/^\d{1,5}$/.test(text) && port > 0 && port < 65_536) return port
  throw usage('tunnel', `"${what}" must be a port from 1 to 65535, not ${JSON.stringify(text)}`)
}

/** Only on the loopback address: others on the network must not reach it. @throws failed (5) */
async function listen(server: Server, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  }).catch((error: unknown) => {
    const taken = errnoOf(error) === 'EADDRINUSE'
    throw new StagecraftError('failed', `Cannot listen on port ${port}: ${taken ? 'it is taken' : errnoOf(error)}`, {
      hint: 'Choose another one: --local 15432',
    })
  })
}

interface Far {
  readonly settings: Settings
  readonly wish: ServiceWish
  readonly context: Context
  readonly port: number
}

/** Each connection finds the container that is live now: a tunnel outlives rollouts. */
async function carry(socket: Socket, { settings, wish, context, port }: Far): Promise<void> {
  try {
    const { docker, id } = await findContainer(settings, wish)
    const said = await relay(docker, id, { host: '127.0.0.1', port }, socket)
    if (said !== '')
      context.report.emit({ type: 'warning', message: `${wish.service} does not take the connection`, hint: said })
  } catch (error) {
    const message = error instanceof StagecraftError ? error.message : String(error)
    context.report.emit({ type: 'warning', message })
  } finally {
    socket.end()
  }
}

async function findContainer(settings: Settings, wish: ServiceWish) {
  for (const { docker, containers } of await findLiveService(settings, wish)) {
    const [first] = containers
    if (first !== undefined) return { docker, id: first.id }
  }
  throw new StagecraftError('not-found', `Cannot reach ${wish.service}: it has no running container`, {
    hint: 'See: stagecraft status',
  })
}
