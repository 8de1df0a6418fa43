import { modelText } from '../compose/load.ts'
import type { ComposeModel, ComposeSource } from '../compose/model.ts'
import { StagecraftError } from '../util/errors.ts'
import { childError, type Docker } from './client.ts'
import { buildFailure } from './compose/build-failure.ts'
import { pull, tagImage } from './image-store.ts'
import { type BuildTarget, buildModel, imageRepository, type Pull } from './images.ts'

/** What building and pushing need, in a release or in `stagecraft build`. */
interface BuildInput {
  readonly project: {
    readonly model: ComposeModel
    readonly source: ComposeSource
    readonly directory: string
    /** variables for the build's own secrets (`build: {secrets: …}`) */
    readonly values?: Readonly<Record<string, string>>
  }
  readonly targets: readonly BuildTarget[]
  readonly docker: Docker
  /** gets docker's output, line by line */
  readonly onOutput: (phase: 'build' | 'push', line: string) => void
}

/** @throws failed (5) with the build's output */
export async function buildImages({ project, targets, docker, onOutput }: BuildInput): Promise<void> {
  const envFiles = project.source.envFiles.flatMap((file) => ['--env-file', file])
  const flags = ['--progress', 'plain', '-p', project.model.name, '--project-directory', project.directory]
  const args = ['compose', ...flags, ...envFiles, '-f', '-', 'build', '--', ...targets.map(({ service }) => service)]
  const result = await docker.try(args, {
    cwd: project.directory,
    ...(project.values ? { env: project.values } : {}),
    input: modelText(buildModel(project.model, targets)),
    merge: true, // steps and verdict are on different streams: both are needed, in order
    limit: MAX_SAID,
    onLine: (line) => onOutput('build', line),
    outlive: 0,
  })
  if (result.code === 0) return
  const services = targets.map(({ service }) => service)
  const failure = buildFailure(services, project.model, result.stdout)
  const error = childError(`build ${(failure?.services ?? services).join(', ')}`, result)
  if (failure === undefined || error.kind !== 'failed') throw error
  const message = `Cannot build ${failure.services.join(', ')}: ${failure.reason}`
  throw error.with({
    message,
    detail: failure.detail,
    hint: 'To see all that the build prints: stagecraft build --verbose',
  })
}

/** How many bytes of a build's output are looked at, from its end. */
const MAX_SAID = 1024 * 1024

/** @returns the name of a tag of this engine in a registry. */
export function registryTag(registry: string, tag: string): string {
  return `${registry.replace(/\/+$/, '')}/${tag}`
}

/** Pushes the version's tags. @returns `<repository>@sha256:…` by service @throws failed (5), unreachable (8) */
export async function pushImages(
  { project, targets, docker, onOutput }: BuildInput,
  registry: string,
): Promise<Record<string, string>> {
  const digests: Record<string, string> = {}
  for (const { service, versionTag } of targets) {
    const remote = registryTag(registry, versionTag)
    await tagImage(docker, versionTag, remote)
    const onLine = (line: string) => onOutput('push', line)
    const result = await docker.try(['push', remote], { onLine, outlive: 0 })
    if (result.code !== 0)
      throw registryError(`push ${remote}`, result.stderr.trim(), childError(`push ${remote}`, result))
    const digest = /digest: (sha256:[0-9a-f]{64})/.exec(result.stdout)?.[1]
    if (digest)
      digests[service] = `${registry.replace(/\/+$/, '')}/${imageRepository(project.model.name, service)}@${digest}`
  }
  return digests
}

/** @throws failed (5) if the registry has no such image, unreachable (8) if it does not answer */
export async function pullImages(
  { docker, onOutput }: Pick<BuildInput, 'docker' | 'onOutput'>,
  images: readonly Pull[],
): Promise<void> {
  for (const { name: image, platform } of images) {
    const onLine = (line: string) => onOutput('push', line)
    const result = await pull(docker, [image], { flags: { platform }, onLine, outlive: 0 })
    if (result.code !== 0)
      throw registryError(`pull ${image}`, result.stderr.trim(), childError(`pull ${image}`, result))
  }
}

/**
 * Asks a registry for an image, with the login of this machine.
 * @returns what it says if it does not give it; undefined: it does
 * @throws unreachable (8) if that takes too long
 */
export async function askRegistry(docker: Docker, image: string): Promise<string | undefined> {
  const { code, stderr } = await docker.try(['manifest', 'inspect', '--insecure', image], { readOnly: true })
  return code === 0 ? undefined : stderr.trim()
}

/** Docker has no exit code for a registry that does not answer; these are the words of Go and the docker client. */
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
