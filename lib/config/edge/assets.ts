import * as v from 'valibot'

const ASSETS =
  'must be a mapping such as {path: /assets, folder: /app/public/assets}: what the service is asked for, and where its image has it'
const PATH = 'must be a path such as /assets: letters, digits and -._~/ after a first /, and none at its end'
const FOLDER = 'must be a folder of the image such as /app/public/assets'

export const assets = v.strictObject(
  {
    path: v.pipe(
      v.string(PATH),
      v.regex(/^(\/[a-zA-Z0-9._~-]+)+$|^\/$/, PATH),
      v.check((text) => !/\/\.{1,2}(\/|$)/.test(text), PATH),
    ),
    folder: v.pipe(v.string(FOLDER), v.regex(/^(\/[^/{}\p{Cc}]+)+$/u, FOLDER)),
  },
  ASSETS,
)

/** Files that pages of a release ask for under names that another release does not have. */
export interface Assets {
  /** as the service gets the requests */
  readonly path: string
  /** of the service's image */
  readonly folder: string
}

/** @returns whether a path is that of a route, or below it */
export function isBelow(path: string, route: string): boolean {
  return `${path}/`.startsWith(`${route.replace(/\/+$/, '')}/`)
}
