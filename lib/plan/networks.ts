import type { ComposeModel, Resource, Service } from '../compose/model.ts'
import { sameContent } from '../util/canonical.ts'
import { StagecraftError } from '../util/errors.ts'
import { compare } from '../util/format.ts'
import type { NetworkPlan, PlanInput } from './input.ts'

/** A network cannot be changed in place: it is removed and created again, and its services are recreated. @throws config (3) */
export function planNetworks(input: Pick<PlanInput, 'target' | 'serving' | 'environment'>): NetworkPlan[] {
  const now = byName(input.target.model.networks, input.target.model.name)
  const before = byName(input.serving?.model.networks, input.target.model.name)
  return [...before]
    .toSorted(([a], [b]) => compare(a, b))
    .flatMap(([network, definition]): NetworkPlan[] => {
      const target = now.get(network)
      const holder = heldOn(network, input)
      if (target === undefined) return holder === undefined ? [{ network, action: 'remove' }] : []
      if (sameContent(definition, target)) return []
      if (holder !== undefined) throw heldNetwork(network, holder)
      return [{ network, action: 'replace' }]
    })
}

/** @returns the networks that are removed and created again */
export function replacedIn(networks: readonly NetworkPlan[]): ReadonlySet<string> {
  return new Set(networks.flatMap(({ network, action }) => (action === 'replace' ? [network] : [])))
}

/** @returns a held service that is on a network, which therefore must stay as it is. */
function heldOn(
  network: string,
  { environment, serving, target }: Pick<PlanInput, 'target' | 'serving' | 'environment'>,
): string | undefined {
  return Object.entries(serving?.model.services ?? {})
    .filter(([name]) => environment.services[name]?.rollout.strategy === 'hold' && target.model.services[name])
    .find(([, service]) => serving && networksOf(service, serving.model).includes(network))?.[0]
}

function heldNetwork(network: string, holder: string): StagecraftError {
  return new StagecraftError('config', `Cannot change network ${network}: ${holder} is on it, and is held`, {
    hint: `Remove \`strategy: hold\` from ${holder} for one deploy, or leave the network as it is.`,
  })
}

/** @returns the project's own resources by the engine's name. External ones are never touched. */
function byName(resources: ComposeModel['networks'], project: string): Map<string, Resource> {
  const own = Object.entries(resources ?? {}).filter(([, resource]) => resource?.external !== true)
  return new Map(own.map(([key, resource]) => [resource?.name ?? `${project}_${key}`, resource ?? {}]))
}

/** @returns the engine's names for the networks of a service. */
export function networksOf(service: Service, model: ComposeModel): string[] {
  return Object.keys(service.networks ?? {}).map((key) => model.networks?.[key]?.name ?? `${model.name}_${key}`)
}

/** `docker compose up -y` deletes the data of a volume whose definition changed: only its owner may decide that. @throws config (3) */
export function refuseChangedVolumes(input: Pick<PlanInput, 'target' | 'serving'>): void {
  const before = byName(input.serving?.model.volumes, input.target.model.name)
  for (const [volume, definition] of byName(input.target.model.volumes, input.target.model.name)) {
    const was = before.get(volume)
    if (was === undefined || sameContent(was, definition)) continue
    throw new StagecraftError(
      'config',
      `Cannot change the definition of volume ${volume}: that would delete its data`,
      {
        hint:
          'Give the volume another name in the Compose file and copy the data into it: ' +
          `docker run --rm -v ${volume}:/from -v NEW_NAME:/to busybox cp -a /from/. /to/`,
      },
    )
  }
}
