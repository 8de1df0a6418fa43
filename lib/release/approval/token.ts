import { createHash } from 'node:crypto'
import { isAbsolute } from 'node:path'
import { namedContexts } from '../../compose/build-context.ts'
import type { Build, ComposeModel } from '../../compose/model.ts'
import { inspectImages } from '../../docker/image-store.ts'
import { buildTargets } from '../../docker/images.ts'
import { isUp } from '../../docker/inspect.ts'
import { readConnections } from '../../migrations/connection.ts'
import type { Planning } from '../../phases/rollout/planning.ts'
import { openBuilder } from '../../project/built-here.ts'
import type { LockedSession, Session } from '../../project/session.ts'
import type { Project } from '../../project/settings.ts'
import type { SourceVersion } from '../../project/version.ts'
import { canonical } from '../../util/canonical.ts'
import { StagecraftError } from '../../util/errors.ts'
import { compare } from '../../util/format.ts'
import { planDeploy } from '../deploy.ts'
import type { Existing } from '../promotion/existing.ts'
import { buildSecrets, hashBuilds, hashScripts } from './source.ts'

/** What a token stands for, in the order of its parts. */
const PARTS = ['what runs', 'the configuration', 'the source'] as const

const TOKEN = /^[0-9a-f]{12}(-[0-9a-f]{12}){2}$/

/** What is deployed. */
export interface Wanted {
  readonly project: Project
  readonly version: SourceVersion
  /** images that are taken in place of building them */
  readonly existing?: Existing | undefined
}

/**
 * @param plannings of a deploy of it, one for each host
 * @returns a text that stands for what the deploy was planned from (spec/commands/plan.md, Approval)
 * @throws config (3) if a file of the source cannot be read
 */
export async function planToken(plannings: readonly Planning[], wanted: Wanted, session: Session): Promise<string> {
  const parts = [
    plannings.map(whatRuns),
    await configurationOf(plannings, wanted),
    await sourceOf(plannings, wanted, session),
  ]
  return parts.map((part) => short(part, wanted.project.directory)).join('-')
}

/** The state of a container, and what is pending in a database, is part of the plan without being recorded anywhere. */
function whatRuns({ input: { serving, migrations = [] }, plan, containers }: Planning): unknown {
  return [
    serving?.bundle.id,
    containers.map((container) => `${container.id} ${isUp(container)}`).toSorted(compare),
    [plan.routes, plan.proxy],
    migrations.map(({ database, pending }) => [database, pending]),
  ]
}

async function configurationOf(plannings: readonly Planning[], { project, version }: Wanted): Promise<unknown> {
  const { config, environment, model, variables } = project
  const { hosts: _, ...settings } = environment
  const onHosts = plannings.map(({ input: { host, target } }) => [host, target.model, target.content])
  const name = version.isTime ? '' : version.name
  const secrets = buildSecrets(model).map(({ environment: variable }) => variable && variables[variable])
  return [settings, config.project, name, onHosts, beyondRelease(model), secrets, await readConnections(project)]
}

/** What a release's own model leaves out: how its images are made, and in which order it starts. */
function beyondRelease({ services }: ComposeModel): unknown {
  return Object.entries(services).map(([name, { build, depends_on, pull_policy }]) => [
    name,
    { depends_on, pull_policy, build: build && withoutFolders(build) },
  ])
}

/** The contents of folders are part of the source. Where they are differs from checkout to checkout. */
function withoutFolders({ context, additional_contexts: more, ...build }: Build): unknown {
  const named = (value: unknown) => (typeof value === 'string' && isAbsolute(value) ? '' : value)
  return { ...build, context: named(context), more: namedContexts(more).map(([name, value]) => [name, named(value)]) }
}

async function sourceOf(
  plannings: readonly Planning[],
  { project, version, existing }: Wanted,
  session: Session,
): Promise<unknown> {
  const others = plannings.map(({ input }) =>
    Object.entries(input.images).flatMap(([service, { id, built }]) => (built ? [] : [[service, id]])),
  )
  const built = existing ? await idsOf(existing, project, version, session) : hashBuilds(project.model)
  return [built, others, hashScripts(project)]
}

/** The images that are taken, if they are known: what only the registry has is not looked at. */
async function idsOf(existing: Existing, project: Project, version: SourceVersion, session: Session): Promise<unknown> {
  const targets = buildTargets(project.model, version.name)
  const tags = existing.from ? [] : targets.map(({ versionTag }) => versionTag)
  const here = await inspectImages(await openBuilder(project, [], session), tags)
  return targets.map(({ service, versionTag }) => [
    service,
    here.get(versionTag)?.id ?? existing.images.get(service)?.id,
  ])
}

/** 48 bits of each part: a change must be seen, nobody forges one. Two checkouts of the same project have the same. */
function short(value: unknown, directory: string): string {
  const text = JSON.stringify(canonical(value)).replaceAll(JSON.stringify(directory).slice(1, -1), '.')
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

/**
 * Plans once more, under the lock.
 * @throws usage (2) if it is no token; not-found (4), with what has changed since the token was made
 */
export async function refuseOtherPlan(token: string, wanted: Wanted, session: LockedSession): Promise<void> {
  requireToken(token)
  const { project, version, existing } = wanted
  const quiet = { ...session, emit: () => {} } // the deploy itself reports it
  const plannings = await planDeploy(project, version, quiet, { existing })
  const [then, now] = [token, await planToken(plannings, wanted, quiet)].map((each) => each.split('-'))
  const changed = PARTS.filter((_, at) => then?.[at] !== now?.[at])
  if (changed.length === 0) return
  const verb = changed.length === 1 ? 'has' : 'have'
  throw new StagecraftError(
    'not-found',
    `Cannot deploy that plan to ${project.environment.name}: ${changed.join(' and ')} ${verb} changed since`,
    { hint: `Nothing has been changed. Look at the new plan: stagecraft plan --env ${project.environment.name}` },
  )
}

/** @throws usage (2) */
export function requireToken(token: string): void {
  if (TOKEN.test(token)) return
  throw new StagecraftError('usage', `Cannot deploy the plan ${JSON.stringify(token)}: that is not a plan token`, {
    hint: 'stagecraft plan --token prints it; with --json it is the field "token".',
  })
}
