import { type ComposeModel, type ComposeSource, modelText } from './compose.ts'
import { childError, type Docker } from './docker.ts'
import { StagecraftError } from './errors.ts'
import type { TellOutput } from './events.ts'
import { type BuildTarget, buildModel, imageRepository, type Pull, tagImage } from './images.ts'

/** What building and pushing need: a release has it, and so has `stagecraft build`, which makes none. */
export interface BuildInput {
  readonly project: { readonly model: ComposeModel; readonly source: ComposeSource; readonly directory: string }
  readonly targets: readonly BuildTarget[]
  readonly docker: Docker
  readonly tell: TellOutput | undefined
}

/** @throws failed (5) with everything the build said */
export async function buildImages({ project, targets, docker, tell }: BuildInput): Promise<void> {
  const envFiles = project.source.envFiles.flatMap((file) => ['--env-file', file])
  const flags = ['--progress', 'plain', '-p', project.model.name, '--project-directory', project.directory]
  const args = ['compose', ...flags, ...envFiles, '-f', '-', 'build', '--', ...targets.map(({ service }) => service)]
  const result = await docker.try(args, {
    cwd: project.directory,
    input: modelText(buildModel(project.model, targets)),
    merge: true, // steps print on the one stream, the verdict is on the other: both are needed, in their order
    limit: MAX_SAID,
    onLine: tell && ((line) => tell('build', line)),
    outlive: 0,
  })
  const services = targets.map(({ service }) => service)
  if (result.code !== 0) throw childError(`build ${failedServices(services, result.stdout).join(', ')}`, result)
}

/** @param said by BuildKit @returns the services whose build has failed, where it says so, and otherwise all of them */
export function failedServices(services: readonly string[], said: string): readonly string[] {
  const found = [...said.matchAll(/^ ?> \[([\w.-]+) .*\]|\btarget ([\w.-]+): failed/gm)]
  const named = new Set(found.flatMap(([, stage, target]) => [stage, target]))
  const failed = services.filter((service) => named.has(service))
  return failed.length > 0 ? failed : services
}

/** Bytes of a build's output that an error shows: its end. */
const MAX_SAID = 1024 * 1024

/** What a tag of this engine is called in a registry. */
export function registryTag(registry: string, tag: string): string {
  return `${registry.replace(/\/+$/, '')}/${tag}`
}

/** Pushes the version's tags to the registry. @returns `<repository>@sha256:…` by service */
export async function pushImages(
  { project, targets, docker, tell }: BuildInput,
  registry: string,
): Promise<Record<string, string>> {
  const digests: Record<string, string> = {}
  for (const { service, versionTag } of targets) {
    const remote = registryTag(registry, versionTag)
    await tagImage(docker, versionTag, remote)
    const onLine = tell && ((line: string) => tell('push', line))
    const result = await docker.try(['push', remote], { onLine, outlive: 0 })
    if (result.code !== 0)
      throw registryError(`push ${remote}`, result.stderr.trim(), childError(`push ${remote}`, result))
    const digest = /digest: (sha256:[0-9a-f]{64})/.exec(result.stdout)?.[1]
    if (digest)
      digests[service] = `${registry.replace(/\/+$/, '')}/${imageRepository(project.model.name, service)}@${digest}`
  }
  return digests
}

/** @throws failed (5) where the registry has no such image, unreachable (8) where it does not answer */
export async function pullImages(
  { docker, tell }: Pick<BuildInput, 'docker' | 'tell'>,
  images: readonly Pull[],
): Promise<void> {
  for (const { name: image, platform } of images) {
    const flags = platform === undefined ? [] : ['--platform', platform]
    const result = await docker.try(['pull', ...flags, image], {
      onLine: tell && ((line) => tell('push', line)),
      outlive: 0,
    })
    if (result.code !== 0)
      throw registryError(`pull ${image}`, result.stderr.trim(), childError(`pull ${image}`, result))
  }
}

/** Docker has no code of its own for a registry that does not answer; these are Go's and its client's words. */
function registryError(what: string, said: string, error: StagecraftError): StagecraftError {
  if (/dial tcp|no such host|connection refused|i\/o timeout|TLS handshake|network is unreachable/.test(said))
    return new StagecraftError('unreachable', `Cannot ${what}: the registry does not answer`, {
      detail: said,
      hint: 'Check the image name and the network of this machine, then try again.',
    })
  if (/unauthorized|denied|authentication required|no basic auth/.test(said))
    return new StagecraftError('failed', error.message, {
      detail: said,
      hint: 'Log in to the registry with `docker login`, and check the name of the image.',
    })
  return error
}
