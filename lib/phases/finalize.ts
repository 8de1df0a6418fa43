import { replicasOf } from '../compose/topology.ts'
import type { Container } from '../docker/inspect.ts'
import { lastWords } from '../docker/readiness/last-words.ts'
import { removeEndedJobs } from '../docker/swarm/one-off/service.ts'
import { buildsElsewhere, type Host } from '../hosts/host.ts'
import { removeEnded } from '../migrations/one-off.ts'
import { madeIn, releaseId } from '../plan/release-id.ts'
import type { Route } from '../plan/routes/table.ts'
import { jobLine, settleJobs } from '../plan/services/ending.ts'
import { buildMark, pruneBuilt } from '../project/built-here.ts'
import { pruneNodes } from '../project/engine/nodes.ts'
import { listRunning } from '../project/engine/running.ts'
import { planPrune, prune } from '../project/prune.ts'
import { confirmAnswers, silentLines } from '../proxy/ask.ts'
import type { CertificateState } from '../proxy/certificates/certificate.ts'
import { awaitCertificates } from '../proxy/certificates/wait.ts'
import { logKeeper } from '../record/bundle/logs.ts'
import { modelFile } from '../record/bundle/ref.ts'
import { placeOf } from '../record/bundle-parts.ts'
import { errorText, StagecraftError } from '../util/errors.ts'
import { pruneAssets } from './assets.ts'
import { onEachHost } from './each-host.ts'
import type { HostRun, ReleaseRun } from './host-run.ts'
import type { Phase } from './loop.ts'
import { removeSpent } from './schedules.ts'
import { pruneObjects } from './swarm/prune.ts'

const BOTH = { describe: () => 'check that what runs is what was released, and prune', run: finalize }

export const FINALIZE: Phase = { name: 'finalize', deploy: BOTH, rollback: BOTH }

/** Verifies that the containers are as released, and removes what no rollback needs any more. */
async function finalize(run: ReleaseRun): Promise<string> {
  const verified = await onEachHost(run, async (hostRun) => {
    const [count] = await Promise.all([verify(hostRun), confirmRoutes(hostRun)])
    await confirmCertificates(hostRun)
    return count
  })
  const pruned = await tidy(run)
  const count = verified.reduce((sum, one) => sum + one, 0)
  const where = run.hostRuns.length === 1 ? '' : ` on ${run.hostRuns.length} hosts`
  return [`${count} ${count === 1 ? 'service runs' : 'services run'} as released${where}`, ...pruned].join('; ')
}

/** Checks that the live routes answer through the proxy. @throws after-commit (10) if one does not */
async function confirmRoutes({ request, tools, bundle }: HostRun): Promise<void> {
  const { undoDocker: docker, clock, emit } = tools
  const { project: name, routes = [], slots = {} } = bundle.now
  const { environment, model } = request.project
  const { services, proxy } = environment
  const isOurs = ({ service }: Route) =>
    services[service]?.rollout.strategy !== 'hold' && replicasOf(model.services[service] ?? {}) > 0
  const job = { docker, name, services, clock, emit, proxy }
  const silent = await confirmAnswers(job, { routes, slots }, isOurs)
  if (silent.size === 0) return
  const names = [...silent.keys()].join(', ')
  throw new StagecraftError('after-commit', `Cannot confirm that requests reach ${names}: the proxy does not`, {
    detail: silentLines(silent),
    hint: "See the proxy's log (stagecraft proxy logs), then deploy again.",
  })
}

/** Visitors come by HTTPS: the release is live for them once the proxy has the certificates. A missing one is a warning. */
async function confirmCertificates({ tools, bundle }: HostRun): Promise<void> {
  const { undoDocker: docker, clock, emit } = tools
  const all = { [bundle.now.project]: bundle.now.routes ?? [] }
  for (const missing of await awaitCertificates(docker, clock, all)) emit({ type: 'warning', ...warningOf(missing) })
}

function warningOf({ name, error, on_demand: isAsked }: CertificateState): { message: string; hint: string } {
  if (isAsked)
    return {
      message: `no new name of ${name} gets a certificate: ${error}`,
      hint: 'It must answer 2xx for a name that it serves (`tls: {ask: …}` in stagecraft.yml). See stagecraft doctor.',
    }
  return {
    message: `there is no certificate for ${name} yet: ${error ?? 'the CA has not answered'}`,
    hint: `https://${name} fails until there is one. The proxy goes on trying: see stagecraft status. To try at once: stagecraft proxy restart`,
  }
}

/** Prunes the hosts, and built images of this machine with them. A failing prune is a warning: the release is live. */
async function tidy({ state, project, bundle, hostRuns, builder, targets, tools }: ReleaseRun): Promise<string[]> {
  const { keep, name: environment } = project.environment
  const placeOn = (host: Host) => placeOf(host, project.hosts)
  const planOn = (host: Host) => planPrune(state, { environment, keep, serving: bundle.now.id }, placeOn(host))
  try {
    const plans = hostRuns.map((each) => [each, planOn(each.request.project.host)] as const) // before the bundles are removed
    const bundles: string[] = []
    for (const [{ request, tools, bundle: own }, plan] of plans) {
      const versionOf = ({ configFiles }: Container) => state.getRelease(madeIn(configFiles))?.version ?? ''
      const keepLog = logKeeper(project.stateFile, releaseId(own.now.id), tools.clock)
      await removeSpent(tools.undoDocker, own, { versionOf, keepLog })
      const isSwarm = project.environment.engine === 'swarm'
      if (isSwarm) await removeEndedJobs(tools.undoDocker, bundle.now.project, tools.clock.now())
      else if (project.environment.databases) await removeEnded(tools.undoDocker, bundle.now)
      bundles.push(...(await prune(tools.undoDocker, state, plan, request.project.host)).bundles)
      if (isSwarm) await pruneObjects(tools.undoDocker, state, own.now)
      const releases = { now: own.now, before: request.serving?.bundle }
      await pruneAssets(tools.undoDocker, project.stateFile, placeOn(request.project.host), releases)
      if (targets.length === 0 || !buildsElsewhere(project.host)) continue
      const mark = buildMark(project)
      if (project.config.project.registry === undefined) await pruneNodes(project.host, plan, mark, tools.undoDocker)
      await pruneBuilt(builder, plan, mark)
    }
    return bundles.length === 0
      ? []
      : [`${bundles.length} older ${bundles.length === 1 ? 'release' : 'releases'} pruned`]
  } catch (error) {
    tools.emit({ type: 'warning', message: errorText(error), hint: '`stagecraft prune` tries again.' })
    return []
  }
}

/** @returns how many services run as released on a host. @throws after-commit (10) if one does not */
async function verify(hostRun: HostRun): Promise<number> {
  const { project } = hostRun.request
  const { undoDocker } = hostRun.tools
  const { project: name, images } = hostRun.bundle.now
  const containers = hostRun.found.containers ?? (await listRunning(project.environment, undoDocker, name, images))
  reportEnded(hostRun, containers)
  const bundle = hostRun.bundle.now
  const services = Object.keys(bundle.images).filter((service) => !bundle.topology.jobs.includes(service))
  for (const service of services) {
    const own = containers.filter((container) => container.service === service)
    if (project.environment.services[service]?.rollout.strategy === 'hold') continue // no release touches it
    const bad = own.find(({ state, image }) => state !== 'running' || image !== bundle.images[service]?.id)
    const wanted = replicasOf(project.model.services[service] ?? {}) > 0
    if (bad === undefined && (own.length > 0 || !wanted)) continue
    throw new StagecraftError(
      'after-commit',
      `Cannot confirm that ${service} runs as released: ${bad ? `it is ${bad.state}` : 'it has no container'}`,
      {
        ...(bad ? { detail: await lastWords(undoDocker, bad) } : {}),
        hint: `Check the container (docker logs), or deploy again to recreate it. Its Compose file is ${modelFile(project.stateFile, bundle.id)}.`,
      },
    )
  }
  return services.length
}

/** A service that ended with 0, and is not restarted by its policy, becomes a finished job; a warning says so once. */
function reportEnded({ request, tools, bundle }: HostRun, containers: readonly Container[]): void {
  const { topology, images } = bundle.now
  const { project, serving } = request
  const settled = settleJobs(topology, project.topology.jobs, project.model, containers)
  if (settled.jobs.join() !== topology.jobs.join()) bundle.save({ topology: settled })
  const known = [...project.topology.jobs, ...(serving?.bundle.topology.jobs ?? [])]
  for (const service of settled.jobs.filter((name) => !known.includes(name) && images[name]))
    tools.emit({
      type: 'warning',
      message: `${service} ended with 0: it is treated as a finished job, and runs again when it changes`,
      hint: `To make that explicit, set it in stagecraft.yml: ${jobLine(service, project.environment.name)}`,
    })
}
