import { isInside } from '../compose/content-store.ts'
import type { Rendering } from '../compose/rendering.ts'
import type { Host } from '../hosts/host.ts'
import { StagecraftError } from '../util/errors.ts'
import { mapConcurrently } from '../util/map-concurrently.ts'
import { Problems } from '../util/problems.ts'

/** What a release mounts on one host. */
interface Mounted {
  readonly project: { readonly host: Host }
  readonly rendering: Rendering
}

/** Prints the arguments that do not exist, each ended by a NUL. A path that this user may not read is not missing. */
const MISSING = `for path do
  case $(LC_ALL=C ls -d -- "$path" 2>&1 >/dev/null) in *'No such file'*) printf '%s\\0' "$path" ;; esac
done`

/**
 * Paths outside of the project folder are the host's own. Looks there for those that the engine does not create by itself.
 * @throws config (3) with all missing paths, before anything is changed; unreachable (8)
 */
export async function refuseMissingOnHosts(parts: readonly Mounted[]): Promise<void> {
  const problems = new Problems()
  await mapConcurrently(parts, async ({ project: { host }, rendering }) => {
    const wanted = wantedPaths(host, rendering)
    if (wanted.size === 0) return
    const { stdout } = await host.run(MISSING, [...wanted.keys()])
    for (const path of stdout.split('\0'))
      if (wanted.has(path))
        problems.add(
          new StagecraftError(
            'config',
            `Cannot mount ${path} into ${wanted.get(path)}: ${host.name} does not have it`,
            {
              hint: 'It is a file or a socket by its name, or Compose must not create it: create it there first, or correct the path.',
            },
          ),
        )
  })
  problems.refuse()
}

/** @returns the paths to look for, each with a service that mounts it */
function wantedPaths({ isLocal, folder }: Host, { model }: Rendering): Map<string, string> {
  const found = new Map<string, string>()
  if (isLocal || folder === undefined) return found
  for (const [service, { volumes = [] }] of Object.entries(model.services))
    for (const { type, source = '', bind } of volumes)
      if (type === 'bind' && bind && bind['create_host_path'] !== true && !isInside(folder, source))
        found.set(source, found.get(source) ?? service)
  return found
}
