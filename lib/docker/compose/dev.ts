import { actFlags, modelText } from '../../compose/load.ts'
import type { ComposeModel } from '../../compose/model.ts'
import { withoutShell } from '../../compose/released/variables.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { Docker } from '../client.ts'

/** A model that Compose itself builds, orders, brings up and watches. */
export interface DevModel {
  readonly model: ComposeModel
  /** the project folder */
  readonly directory: string
}

type OnLine = (line: string) => void

/** Builds all services that can be built. @throws failed (5), unreachable (8) */
export async function buildDev(docker: Docker, dev: DevModel, services: readonly string[], onLine: OnLine) {
  const what = `build ${services.join(', ')}`
  await docker.run(what, args(dev, 'build', '--', ...services), { ...how(dev), merge: true, outlive: 0, onLine })
}

/** @param services with what they depend on; empty: all, and containers of services that are gone are removed */
export async function upDev(docker: Docker, dev: DevModel, services: readonly string[], onLine: OnLine) {
  const which = services.length === 0 ? ['--remove-orphans'] : ['--', ...services]
  const what = `start ${services.length === 0 ? 'the services' : services.join(', ')}`
  const { env, ...rest } = how(dev)
  // Compose refuses --remove-orphans where they are ignored, as they are otherwise.
  const options = { ...rest, env: { ...env, COMPOSE_IGNORE_ORPHANS: 'false' }, onLine }
  await docker.run(what, args(dev, 'up', '-d', '--no-build', ...which), options)
}

/** @throws failed (5), unreachable (8) */
export async function stopDev(docker: Docker, dev: DevModel) {
  await docker.run('stop the services', args(dev, 'stop'), how(dev))
}

/**
 * Compose's `develop.watch`, until the client's signal ends it.
 * @param onReady called when it watches: what is saved before that is missed
 * @throws failed (5) if it ends by itself
 */
export async function watchDev(docker: Docker, dev: DevModel, onLine: OnLine, onReady: () => void) {
  const options = {
    ...{ ...how(dev), merge: true, limit: 64 * 1024, outlive: 0 },
    onLine: (line: string) => {
      onLine(line)
      if (/watch enabled/i.test(line)) onReady()
    },
  }
  const { stdout } = await docker.run('watch the files', args(dev, 'watch', '--no-up'), options)
  throw new StagecraftError('failed', 'Cannot watch the files: docker compose watch has ended', {
    detail: stdout.trim(),
  })
}

function args({ model, directory }: DevModel, ...words: string[]): string[] {
  return ['compose', ...actFlags(model.name, directory), '-f', '-', ...words]
}

function how({ model, directory }: DevModel) {
  return { cwd: directory, env: withoutShell(model, process.env), input: modelText(model) }
}
