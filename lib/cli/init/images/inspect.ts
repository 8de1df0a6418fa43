import type { ComposeModel } from '../../../compose/model.ts'
import { openDocker } from '../../../docker/client.ts'
import { inspectImages } from '../../../docker/image-store.ts'
import type { Image } from '../../../docker/inspect.ts'
import type { Mask } from '../../../secrets/mask.ts'
import type { Exec } from '../../../system/exec.ts'
import { readDockerfile } from './dockerfile.ts'
import { type ImageFacts, tcpPort } from './facts.ts'

/** Milliseconds. Without an engine, or with one that is slow, less is known. */
const PATIENCE = 5000

/** @returns what Dockerfiles and the engine's images say of each service. Pulls and builds nothing, and never fails */
export async function lookAtImages(exec: Exec, model: ComposeModel, mask: Mask): Promise<Record<string, ImageFacts>> {
  const nameOf = (service: string) => model.services[service]?.image ?? `${model.name}-${service}`
  const services = Object.keys(model.services)
  const names = [...new Set(services.map(nameOf))]
  const images = await inspectImages(openDocker(exec, mask, { timeout: PATIENCE }), names).catch(() => undefined)
  return Object.fromEntries(
    services.map((service) => {
      const { build } = model.services[service] ?? {}
      const built = build ? readDockerfile(build) : {}
      const image = factsOf(images?.get(nameOf(service)))
      return [service, { ...image, ...built, ports: built.ports ?? image.ports }]
    }),
  )
}

function factsOf(image: Image | undefined): ImageFacts {
  const part = (name: string) => Object(image?.config[name]) as Record<string, unknown> // an object of any value
  const keys = (name: string) => Object.keys(part(name))
  const { Test: test } = part('Healthcheck')
  return {
    ports: keys('ExposedPorts').flatMap(tcpPort),
    volumes: keys('Volumes').toSorted(),
    probe: Array.isArray(test) ? test.map(String) : [],
  }
}
