import { buildMark, pruneBuilt } from '../built-here.ts'
import { modelFile } from '../bundle.ts'
import { placeOf } from '../bundle-parts.ts'
import { type Container, listContainers } from '../docker.ts'
import { jobLine, settleJobs } from '../ending.ts'
import { errorText, StagecraftError } from '../errors.ts'
import { lastWords } from '../gate.ts'
import { askLive } from '../proxy-ask.ts'
import { planPrune, prune } from '../prune.ts'
import type { Route } from '../routes.ts'
import { plugServed, repairRouting } from '../routing.ts'
import type { Run, Site } from '../run.ts'
import { replicasOf } from '../services.ts'
import { onSites } from '../sites.ts'

/** Verifies that what runs is what was released, and removes what no rollback needs any more. */
export async function finalize(run: Run): Promise<string> {
  const verified = await onSites(run, async (site) => {
    const [count] = await Promise.all([verify(site), confirmRoutes(site)])
    return count
  })
  const pruned = await tidy(run)
  const count = verified.reduce((sum, one) => sum + one, 0)
  const where = run.sites.length === 1 ? '' : ` on ${run.sites.length} hosts`
  return [`${count} ${count === 1 ? 'service runs' : 'services run'} as released${where}`, ...pruned].join('; ')
}

/** Seconds that what is live has to answer the proxy: it has answered before. */
const ANSWER = 10

/** Asks what is live through the proxy, which somebody may have removed meanwhile: then it is repaired, and asked once more. */
async function confirmRoutes(site: Site): Promise<void> {
  const { bundle, project, restoring: docker, clock, emit } = site
  const { routes = [], slots = {} } = bundle
  const { services, proxy } = project.environment
  const isOurs = ({ service }: { service: string }) =>
    services[service]?.rollout.strategy !== 'hold' && replicasOf(project.model.services[service] ?? {}) > 0
  const asked = { routes: routes.filter(isOurs), slots }
  const about = { docker, name: bundle.project, services }
  if ((await askLive(about, asked, 0)).size === 0) return
  const repair = { ...about, clock, emit, proxyImage: proxy?.image }
  try {
    await repairRouting(repair, { routes, slots })
    await plugServed(docker, bundle.project, await listContainers(docker, bundle.project), { routes, slots })
  } catch (error) {
    if (!(error instanceof StagecraftError) || error.kind !== 'failed') throw error
    throw unconfirmed(asked.routes, errorText(error))
  }
  const silent = await askLive(about, asked, ANSWER)
  if (silent.size === 0) return
  const detail = [...silent].map(([service, why]) => `${service}: ${why}`).join('\n')
  throw unconfirmed(
    asked.routes.filter(({ service }) => silent.has(service)),
    detail,
  )
}

function unconfirmed(routes: readonly Route[], detail: string): StagecraftError {
  const names = routes.map(({ service }) => service).join(', ')
  return new StagecraftError('after-commit', `Cannot confirm that ${names} answers: the proxy does not reach it`, {
    detail,
    hint: 'See what the proxy says (stagecraft proxy logs), then deploy again.',
  })
}

/** A failing prune is a warning: the release serves. What was built goes from this machine as it goes from the hosts. */
async function tidy({ state, project, bundle, sites, builder, targets, emit }: Run): Promise<string[]> {
  const { keep, name: environment } = project.environment
  const planOn = ({ project: { host } }: Site) =>
    planPrune(state, { environment, keep, serving: bundle.id }, placeOf(host, project.hosts))
  try {
    const plans = sites.map((site) => [site, planOn(site)] as const) // before the bundles go
    const bundles: string[] = []
    for (const [site, plan] of plans) {
      bundles.push(...(await prune(site.restoring, state, plan, site.project.host)).bundles)
      if (project.host.name !== undefined && targets.length > 0) await pruneBuilt(builder, plan, buildMark(project))
    }
    return bundles.length === 0
      ? []
      : [`${bundles.length} older ${bundles.length === 1 ? 'release' : 'releases'} pruned`]
  } catch (error) {
    emit({ type: 'warning', message: errorText(error), hint: '`stagecraft prune` tries again.' })
    return []
  }
}

/** @returns how many services run as released there */
async function verify(site: Site): Promise<number> {
  const { project } = site
  const containers = site.seen ?? (await listContainers(site.restoring, site.bundle.project))
  tellEnded(site, containers)
  const { bundle } = site
  const services = Object.keys(bundle.images).filter((service) => !bundle.topology.jobs.includes(service))
  for (const service of services) {
    const own = containers.filter((container) => container.service === service)
    if (project.environment.services[service]?.rollout.strategy === 'hold') continue // never touched; the plan says how it is
    const bad = own.find(({ state, image }) => state !== 'running' || image !== bundle.images[service]?.id)
    const wanted = replicasOf(project.model.services[service] ?? {}) > 0
    if (bad === undefined && (own.length > 0 || !wanted)) continue
    throw new StagecraftError(
      'after-commit',
      `Cannot confirm that ${service} runs as released: ${bad ? `it is ${bad.state}` : 'it has no container'}`,
      {
        ...(bad ? { detail: await lastWords(site.restoring, bad) } : {}),
        hint: `Look at the container (docker logs), or deploy again: that recreates it. Its model is ${modelFile(project.stateFile, bundle.id)}.`,
      },
    )
  }
  return services.length
}

/** What has ended with 0, as its restart policy lets it, is a job that is done: the release keeps that, and it is said once. */
function tellEnded(site: Site, containers: readonly Container[]): void {
  const { topology, images } = site.bundle
  const settled = settleJobs(topology, site.project.topology.jobs, site.project.model, containers)
  if (settled.jobs.join() !== topology.jobs.join()) site.save({ topology: settled })
  const known = [...site.project.topology.jobs, ...(site.serving?.bundle.topology.jobs ?? [])]
  for (const service of settled.jobs.filter((name) => !known.includes(name) && images[name]))
    site.emit({
      type: 'warning',
      message: `${service} ended with 0: it is taken for a job that is done, and runs again when it changes`,
      hint: `To make that certain, say so in stagecraft.yml: ${jobLine(service, site.project.environment.name)}`,
    })
}
