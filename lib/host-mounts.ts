import { isInside } from './content.ts'
import { StagecraftError } from './errors.ts'
import type { Host } from './host.ts'
import { onEach } from './on-each.ts'
import { Problems } from './problems.ts'
import type { Rendering } from './render.ts'

/** What a release mounts on one host. */
export interface Mounted {
  readonly project: { readonly host: Host }
  readonly rendering: Rendering
}

/** Prints those of its arguments that are not there, each ended by a NUL. What may not be looked at is not missing: the engine may. */
const MISSING = `for path do
  case $(LC_ALL=C ls -d -- "$path" 2>&1 >/dev/null) in *'No such file'*) printf '%s\\0' "$path" ;; esac
done`

/**
 * Paths outside of the project folder are a host's own: those that its engine makes nothing of are looked for there.
 * @throws config (3), all of them in one, before anything is changed; unreachable (8)
 */
export async function refuseMissingOnHosts(parts: readonly Mounted[]): Promise<void> {
  const problems = new Problems()
  await onEach(parts, async ({ project: { host }, rendering }) => {
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
              hint: 'It is a file or a socket by its name, or Compose is told not to make it: put it there first, or correct the path.',
            },
          ),
        )
  })
  problems.refuse()
}

/** @returns the service that mounts it, by path */
function wantedPaths({ name, folder }: Host, { model }: Rendering): Map<string, string> {
  const found = new Map<string, string>()
  if (name === undefined || folder === undefined) return found
  for (const [service, { volumes = [] }] of Object.entries(model.services))
    for (const { type, source = '', bind } of volumes)
      if (type === 'bind' && bind && bind['create_host_path'] !== true && !isInside(folder, source))
        found.set(source, found.get(source) ?? service)
  return found
}
