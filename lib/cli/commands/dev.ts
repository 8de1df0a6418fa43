import type { ComposeModel } from '../../compose/model.ts'
import { watchDev } from '../../docker/compose/dev.ts'
import { describeRoute, PROXY, type Route } from '../../plan/routes/table.ts'
import { type Dev, endDev, openDev, reportEnds, startDev } from '../../release/dev/run.ts'
import { followLogs, type LogLine } from '../../status/logs.ts'
import { compare, table } from '../../util/format.ts'
import { type Context, command, environmentArgument } from '../command.ts'
import { logPrinter } from './log-lines.ts'
import { openProjectOf, openSession } from './release-arguments.ts'

export default command({
  name: 'dev',
  description:
    "Run the application of an environment on this machine's engine while you work on it, until Ctrl-C. Makes no release, and touches none.",
  args: { env: environmentArgument },
  examples: [
    ['stagecraft dev', 'build, migrate, route at https://….localhost, show logs, follow changes of files'],
    ['stagecraft dev --env prod', 'the model and settings of prod, on this machine'],
  ],
  exits: [
    [3, 'stagecraft.yml, the Compose file or an env file is invalid; another project has one of the routes'],
    [4, 'no such environment'],
    [5, 'a build, migration or container failed; a port or folder is in use; a released environment has its name'],
    [7, 'dev of this environment runs already'],
    [8, 'the engine or a database cannot be reached'],
    [9, 'the lock cannot be made'],
    [130, 'ended by Ctrl-C'],
    [141, 'the reader of the output has gone'],
  ],
  async run(args, context) {
    const project = await openProjectOf(args, context, [], { dev: true })
    const { name } = project.environment
    const session = openSession(context, project, {
      type: 'waiting',
      environment: name,
      message: 'the containers stop, and their data stays; a second Ctrl-C does not wait, and may leave some running',
    })
    const ended = new AbortController()
    const signal = AbortSignal.any([session.signal, ended.signal])
    const request = { environment: `dev of ${name}`, command: 'dev', wait: 0 }
    return project.host.withLock(request, session, async (held) => {
      const dev = await openDev(project, { ...session, signal, held })
      const since = new Date(context.clock()).toISOString()
      const work = async () => {
        await startDev(dev)
        const print = openLog(dev, context, () => ended.abort())
        const watch = await startWatch(dev, print, () => ended.abort())
        const { value, lines } = upText(name, dev.services.model, dev.routes)
        context.report.result('dev', value, () => lines)
        watch.show()
        await follow(dev, since, print, context)
        if (watch.failure() !== undefined) throw watch.failure()
      }
      const failure = await work().then(
        () => undefined,
        (error: unknown) => error,
      )
      await endDev(dev)
      if (session.signal.aborted) return 128 + Number(session.signal.reason)
      if (context.outputFailed()) return 141
      throw failure
    })
  },
})

/** @returns where everything is, as `--json` gives it, and as text */
export function upText(environment: string, model: ComposeModel, routes: readonly Route[]) {
  const services = Object.entries(model.services)
    .toSorted(([a], [b]) => compare(a, b))
    .map(([service, { ports = [] }]) => {
      const own = routes.filter((route) => route.service === service)
      const published = ports.flatMap(({ published = '' }) => (/^[1-9]\d*$/.test(published) ? [published] : []))
      const routed = own.flatMap((route) => describeRoute(route).split(', '))
      return { service, addresses: [...routed, ...published.map((port) => `localhost:${port}`)] }
    })
  const reachable = services.filter(({ addresses }) => addresses.length > 0)
  const watched = watchedIn(model)
  const lines = [
    `dev of ${environment} is up, as the Compose project ${model.name}`,
    ...table(reachable.map(({ service, addresses }) => [service, addresses.join(', ')])).map((line) => `  ${line}`),
    watched.length > 0
      ? `develop.watch follows the files of: ${watched.join(', ')}`
      : 'Nothing is watched: no service has develop.watch in the Compose file.',
    ...(routes.length > 0 ? TRUST : []),
    'Ctrl-C stops the containers; their data stays.',
  ]
  return { value: { environment, project: model.name, services, watched }, lines }
}

const TRUST = [
  'To trust these certificates, once: docker cp \\',
  `  ${PROXY}:/data/caddy/pki/authorities/local/root.crt . and import it`,
]

type Print = (line: LogLine) => void

/** @param end called when the reader has gone */
function openLog({ services }: Dev, context: Context, end: () => void): Print {
  const names = Object.keys(services.model.services).toSorted()
  const print = logPrinter(context, { services: names, several: false })
  return (line) => {
    print(line)
    if (context.outputFailed()) end()
  }
}

/** Milliseconds that Compose has to say that it watches. */
const WATCHES_WITHIN = 20_000

/**
 * Compose's watch, if there is anything to watch. Its lines are held back until `show`.
 * @param end called if it ends
 * @returns once it watches, so that nothing is missed that is saved after `dev` has said that it is up
 */
async function startWatch({ session, docker, services }: Dev, print: Print, end: () => void) {
  const { clock, signal } = session
  let held: LogLine[] | undefined = []
  let failure: unknown
  const onLine = (line: string) => {
    if (line.trim() === '' || signal.aborted) return
    const log = { host: '', service: '', container: 'watch', at: new Date(clock.now()).toISOString(), line }
    if (held) held.push(log)
    else print(log)
  }
  if (watchedIn(services.model).length > 0)
    await new Promise<void>((resolve) => {
      void clock.sleep(WATCHES_WITHIN).then(resolve)
      watchDev(docker, services, onLine, resolve).catch((error: unknown) => {
        failure = error
        end()
        resolve()
      })
    })
  const show = () => {
    for (const line of held ?? []) print(line)
    held = undefined
  }
  return { show, failure: () => failure }
}

/** Prints what containers say, until a signal, or until the reader or the watch has gone. */
async function follow(dev: Dev, since: string, print: Print, { report }: Context): Promise<void> {
  const { project, session, services } = dev
  const { clock, signal } = session
  // What only looks ends by itself, a second later: the containers are stopped at once.
  const ended = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve())
    if (signal.aborted) resolve()
  })
  const wish = { project: services.model.name, services: [], tail: 'all', since, until: undefined }
  const logs = followLogs([project.host], { mask: report.secrets.mask, clock, signal, print }, wish)
  await Promise.race([ended, Promise.all([logs, reportEnds(dev)])])
}

function watchedIn({ services }: Dev['services']['model']): string[] {
  const watches = (develop: unknown) =>
    typeof develop === 'object' && develop !== null && 'watch' in develop && Array.isArray(develop.watch)
  return Object.keys(services)
    .filter((name) => watches(services[name]?.['develop']))
    .toSorted()
}
