import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const ROOT = join(import.meta.dir, '..')
const MOST_LINES = 250

/**
 * The layers, lowest first. A file belongs to the first line that matches; it may import, for use at run time, from
 * its own layer and those above it in this list. (A type is not a dependency at run time: it may come from anywhere.)
 */
const LAYERS = [
  // Pure: the same result for the same arguments. No files, processes, clock or environment.
  [
    'pure',
    'lib/{content-text,path-names,problems,errors,error-report,events,duration,canonical,nearest,mask,secrets,secret-forms,secret-places,json-scan,format,services,trusted-proxies,report-lines,usage,lock-text,system-error}.ts',
  ],
  [
    'pure',
    'lib/{bundle-check,ending,plan-adoption,restarts,released-model,released-variables,plan,plan-differences,plan-format,plan-model,plan-networks,plan-order,plan-ports,plan-rolling,plan-routes,plan-service,plan-volumes,arguments,config-schema,config-check}.ts',
  ],
  [
    'pure',
    'lib/{host-name,manifest,placement,plan-bootstrap,recovery-text,remote-errors,state-objects,state-on-host,state-scripts,lock-scripts,short-lock,ssh-session,watcher,ssh-errors,caddy-config,docker-json,proxy-scripts,routes,release-id,release-status,status-services,status-format,find-release,state-format,state-print,state-text,route-conflicts,internal-subnets}.ts',
  ],
  ['use cases', 'lib/{deploy,doctor,maintenance,project,proxy-status,release,rollback,site,status,status-engine}.ts'],
  ['use cases', 'lib/phases/**/*.ts'],
  ['commands', 'lib/commands/**/*.ts'],
  ['effects', 'lib/*.ts'],
  ['cli', 'cli.ts'],
] as const
const ORDER = ['pure', 'effects', 'use cases', 'commands', 'cli'] as const

const IMPURE = [
  /["'](node:)?(fs|os|net|http|child_process|timers)\b.*["']/,
  /\bprocess\.\w+|\bBun\.(?!stripANSI|stringWidth)\w+/,
  /Date\.now|new Date\(\)|Math\.random|\bset(Timeout|Interval)\(/,
]

/** Who alone may do what. Comments and types do not count: the patterns are looked for in the code that runs. */
const SOLE_OWNERS = [
  { what: 'starts processes', by: /^lib\/exec\.ts$/, pattern: /["'](node:)?child_process["']|["']zx|Bun\.(spawn|\$)/ },
  { what: 'knows the state file', by: /^lib\/state[\w-]*\.ts$/, pattern: /releases\.json/ },
  { what: 'ends the process', by: /^cli\.ts$/, pattern: /process\.(exit|exitCode|abort)\b/ },
  { what: 'uses consola', by: /^lib\/report[\w-]*\.ts$/, pattern: /["']consola/ },
] as const

const TOP_LEVEL = [
  ...[
    'LICENSE',
    'README.md',
    'SECURITY.md',
    'biome.json',
    'build.ts',
    'bunfig.toml',
    'cli.ts',
    'lib',
    'package-lock.json',
  ],
  ...['package.json', 'spec', 'test', 'tsconfig.json'],
]

/** What would tie the repository to one machine or network. (Written so that they do not match themselves.) */
const PRIVATE = [/[/]work[/]/, /[/]farm\b/, /registry[.]npmjs/, /deb[.]debian/, /(registry-1|index|hub)[.]docker/]

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const sources = [...new Bun.Glob('lib/**/*.ts').scanSync(ROOT), 'cli.ts'].filter(exists).sort()
const transpiler = new Bun.Transpiler({ loader: 'ts' })
const layerOf = (path: string) => LAYERS.find(([, glob]) => new Bun.Glob(glob).match(path))?.[0] ?? 'unknown'
const trackedFiles = Bun.spawnSync(['git', 'ls-files', '-z'], { cwd: ROOT })
  .stdout.toString()
  .split('\0')
  .filter(exists)

function exists(path: string): boolean {
  return path !== '' && existsSync(join(ROOT, path))
}

/** What a file imports of ours at run time; an `import()` is marked, as it is only followed when called. */
function importsOf(path: string): { path: string; lazy: boolean }[] {
  const imports = transpiler.scanImports(read(path)).filter((found) => found.path.startsWith('.'))
  return imports.map((found) => ({ path: join(dirname(path), found.path), lazy: found.kind === 'dynamic-import' }))
}

describe('layers', () => {
  test('the table knows every file', () => {
    expect(sources.length).toBeGreaterThan(20)
    expect(sources.filter((path) => layerOf(path) === 'unknown')).toEqual([])
  })

  test.each(sources)('%s imports only from its own layer and below', (path) => {
    const rank = (file: string) => ORDER.indexOf(layerOf(file) as (typeof ORDER)[number])
    const upwards = importsOf(path).filter((found) => found.path.endsWith('.ts') && rank(found.path) > rank(path))
    expect(upwards.map((found) => `${path} (${layerOf(path)}) imports ${found.path} (${layerOf(found.path)})`)).toEqual(
      [],
    )
  })

  test.each(sources.filter((path) => layerOf(path) === 'pure'))('%s is pure', (path) => {
    const code = transpiler.transformSync(read(path))
    expect(IMPURE.flatMap((pattern) => code.match(pattern)?.[0] ?? [])).toEqual([])
  })

  test('no file imports itself by way of others', () => {
    const graph = new Map(
      sources.map((path) => [path, importsOf(path).flatMap(({ path, lazy }) => (lazy ? [] : [path]))]),
    )
    expect(cycleIn(graph)).toEqual([])
  })
})

describe('sole owners', () => {
  test.each(SOLE_OWNERS)('$by alone $what', ({ by, pattern }) => {
    const users = sources.filter((path) => pattern.test(transpiler.transformSync(read(path))))
    expect(users.filter((path) => !by.test(path))).toEqual([])
  })
})

describe('files', () => {
  test.each([...sources, 'build.ts'])(`%s has at most ${MOST_LINES} lines`, (path) => {
    expect(read(path).split('\n').length - 1).toBeLessThanOrEqual(MOST_LINES)
  })

  test('no check of the compiler or the linter is switched off', () => {
    const code = trackedFiles.filter((path) => path.endsWith('.ts') && path !== 'test/structure.test.ts')
    expect(code.filter((path) => /@ts-(ignore|nocheck)|noExplicitAny|\bas any\b/.test(read(path)))).toEqual([])
  })

  test('the top level holds what belongs there and nothing else', () => {
    const top = new Set(trackedFiles.map((path) => path.split('/')[0] ?? ''))
    expect([...top].filter((name) => !name.startsWith('.') && !TOP_LEVEL.includes(name))).toEqual([])
  })

  test('nothing names a folder of one machine, or the host of a package registry', () => {
    const texts = trackedFiles.filter((path) => !/\.(png|tar|gz)$/.test(path))
    const named = texts.flatMap((path) =>
      PRIVATE.filter((name) => name.test(read(path))).map((name) => `${path}: ${name}`),
    )
    expect(named).toEqual([])
  })

  test('package-lock.json is the only lockfile, and it holds no addresses', () => {
    const locks = trackedFiles.filter((path) =>
      /(^|\/)(bun\.lockb?|yarn\.lock|pnpm-lock\.yaml|npm-shrinkwrap\.json)$/.test(path),
    )
    expect(locks).toEqual([])
    expect(read('package-lock.json')).not.toContain('"resolved"')
  })
})

/** @returns the files of one import cycle, in order, or nothing. */
function cycleIn(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const finished = new Set<string>()
  const walk = (path: string, trail: readonly string[]): string[] => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
    if (finished.has(path)) return []
    for (const next of graph.get(path) ?? []) {
      const cycle = walk(next, [...trail, path])
      if (cycle.length > 0) return cycle
    }
    finished.add(path)
    return []
  }
  for (const path of graph.keys()) {
    const cycle = walk(path, [])
    if (cycle.length > 0) return cycle
  }
  return []
}
