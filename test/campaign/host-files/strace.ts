import type { Machine } from './machine.ts'

/** Calls that may change something, or that a change needs. */
const CHANGING = [
  ...[
    'openat',
    'write',
    'rename',
    'renameat',
    'renameat2',
    'mkdir',
    'mkdirat',
    'link',
    'linkat',
    'unlink',
    'unlinkat',
    'rmdir',
  ],
  ...[
    'chmod',
    'fchmod',
    'fchmodat',
    'chown',
    'fchown',
    'fchownat',
    'fsync',
    'fdatasync',
    'syncfs',
    'sync',
    'flock',
    'utimensat',
    'ftruncate',
  ],
]
/** Of processes: which of a script's processes makes one cannot be chosen, only the n-th call that each of them makes. */
const OF_PROCESSES = {
  clone: 'EAGAIN',
  clone3: 'EAGAIN',
  vfork: 'EAGAIN',
  pipe2: 'EMFILE',
  dup2: 'EBADF',
  read: 'EIO',
  write: 'EIO',
  wait4: 'EINTR',
}

/** One place where a script can be hit. */
export interface Spot {
  readonly call: string
  /** as it stands in the trace: of the file that it is about; undefined: of any, by every process */
  readonly path: string | undefined
  /** the index among calls of its kind by one process */
  readonly when: number
}

/** In a namespace of its own its process ids are the same in every run: so are the names of its folders. */
const ALONE = ['unshare', '--pid', '--fork', '--kill-child']
const traced = (calls: readonly string[]) => `trace=${calls.map((call) => `?${call}`).join(',')}`

/** @returns what comes before a script so that it prints its calls, each in a line of stderr */
export function recording(calls: readonly string[] = CHANGING): string[] {
  return [...ALONE, 'strace', '-f', '-qq', '-y', '-s', '300', '-e', traced(calls), '-e', 'signal=none']
}

/** @returns what comes before a script so that a spot of it fails (`error=ENOSPC`), or its process is killed (`signal=KILL`) */
export function injecting({ call, path, when }: Spot, what: string): string[] {
  const only = path === undefined ? [] : ['-P', path]
  const inject = ['-e', `trace=${call}`, '-e', `inject=${call}:${what}:when=${when}`]
  return [...ALONE, 'strace', '-f', '-qq', '-o', '/dev/null', '-e', 'signal=none', ...only, ...inject]
}

/** A call's first argument: a path, or a descriptor (with the path that it is open for) and a path below that. */
const LINE = /^(?:\[pid +(\d+)\] )?(\w+)\((?:"([^"]*)"|(?:AT_FDCWD|\d+)<([^>]*)>(?:, "([^"]*)")?)/
const OF_DESCRIPTORS = ['write', 'fsync', 'fdatasync', 'syncfs', 'flock', 'fchmod', 'fchown', 'ftruncate']

/** @returns what a line of the trace is about, where it is a file below the folder: relative names are */
function spotOf(line: string, folder: string): { pid: string; call: string; path: string } | undefined {
  const [, pid = '', call = '', plain, opened, below] = LINE.exec(line) ?? []
  const path = OF_DESCRIPTORS.includes(call) ? opened : (plain ?? below ?? opened)
  return CHANGING.includes(call) && path !== undefined && isOurs(path, folder) ? { pid, call, path } : undefined
}

/** @returns whether a line of the trace may change something below the folder */
export const isChange = (line: string, folder: string) => spotOf(line, folder) !== undefined

/** @param run makes what is to be hit, with `wrap` before it. @returns the spots at which files of a folder are changed, in order */
export async function spotsOf(
  folder: string,
  run: (wrap: readonly string[]) => ReturnType<Machine['run']>,
): Promise<Spot[]> {
  const { stderr } = await run(recording())
  const spots = new Map<string, Spot>()
  const counts = new Map<string, number>()
  for (const line of stderr.split('\n')) {
    const spot = spotOf(line, folder)
    if (!spot) continue
    const of = Object.values(spot).join(' ')
    const when = (counts.get(of) ?? 0) + 1
    counts.set(of, when)
    if (when <= MOST_OF_ONE) spots.set(`${spot.call} ${spot.path} ${when}`, { call: spot.call, path: spot.path, when })
  }
  return [...spots.values()]
}

/** A process may write to one file in many pieces: the first ones stand for all. */
const MOST_OF_ONE = 3

const isOurs = (file: string, folder: string) => file.startsWith(folder) || (!file.startsWith('/') && file !== '')

/** @returns the first so many calls of every process, whatever they are about */
export function processSpots(most: number): { readonly spot: Spot; readonly what: string }[] {
  return Object.entries(OF_PROCESSES).flatMap(([call, error]) =>
    Array.from({ length: most }, (_, at) => ({
      spot: { call, path: undefined, when: at + 1 },
      what: `error=${error}`,
    })),
  )
}
