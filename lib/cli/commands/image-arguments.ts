import type { Session } from '../../project/session.ts'
import type { Wanted } from '../../release/approval/token.ts'
import { existingFrom, existingOf } from '../../release/promotion/existing.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { Context } from '../command.ts'
import { type openRelease, openSettingsOf } from './release-arguments.ts'

/** Flags for a release of images that exist. */
export const imageArgs = {
  'no-build': { type: 'boolean', description: 'build nothing: use the existing images of the version' },
  from: {
    type: 'string',
    valueHint: 'env',
    description: 'build nothing: use the images of the release that is live in this environment',
  },
} as const

interface Flags {
  readonly 'no-build': boolean
  readonly from: string | undefined
}

/** @returns the images to take in place of building them, if it is asked for, and the version, which may be theirs */
export async function findExisting(
  { 'no-build': noBuild, from }: Flags,
  { project, version }: Awaited<ReturnType<typeof openRelease>>,
  session: Session,
  context: Context,
): Promise<Wanted> {
  if (from === undefined)
    return { project, version, existing: noBuild ? existingOf(project, version.name, session) : undefined }
  const other = await openSettingsOf({ env: from }, context, {
    onSwarm: 'Deploy the same commit, or give both environments one image, by its name in a registry.',
  })
  const existing = existingFrom(other, session)
  return { project, version: { name: existing.from.version, commit: existing.commit }, existing }
}

/** @throws usage (2) for flags that exclude each other */
export function refuseUnfit(
  {
    from,
    version,
    build,
    'no-build': noBuild,
  }: Flags & { readonly version: string | undefined; readonly build?: boolean },
  environment: string,
  { env }: Pick<Context, 'env'>,
): void {
  if (build && (noBuild || from !== undefined))
    throw new StagecraftError('usage', `Cannot build, and use existing images, at once`, {
      hint: 'Leave out --build.',
    })
  // The variable is set for all commands of a job, and in hooks.
  const isNamed = version !== undefined && version !== env['STAGECRAFT_VERSION']
  if (from === undefined || (!isNamed && from !== environment)) return
  const why = isNamed ? `its version is that of the release in ${from}` : 'that is the same environment'
  throw new StagecraftError('usage', `Cannot deploy from ${from}: ${why}`, {
    hint: 'For example: stagecraft deploy --env prod --from staging',
  })
}
