import { describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

const ROOT = join(import.meta.dir, '../..')
const MOST_LINES = 250
/** of a file in test/ */
const MOST_TEST_LINES = 300

/**
 * The rooms of lib/, lowest first. A file imports from its own room and from those before it; types count, and so does what is
 * only imported when it is needed.
 */
const ROOMS = [
  ...['util', 'system', 'config', 'compose', 'secrets', 'docker', 'plan', 'output', 'lock', 'record'],
  ...['hosts', 'project', 'proxy', 'migrations', 'phases', 'release', 'status', 'cli'],
]
/** Rooms that do not know each other, though one is before the other. */
const STRANGERS = [
  ['config', 'compose'],
  ['release', 'status'],
]
/** Folders where everything is pure: the same result for the same arguments. No files, processes, clock or environment. */
const PURE = [
  ...[
    'util',
    'secrets',
    'plan',
    'proxy',
    'phases',
    'status',
    'compose/released',
    'record/releases-file',
    'hosts/scripts',
  ],
]
/** Files of a folder, without those of the folders in it. */
const MOST_FILES = 14

const IMPURE = [
  /(from|import\(|require\()\s*["'](node:)?(fs|os|net|http|child_process|timers)\b/,
  /\bprocess\.\w+|\bBun\.(?!stripANSI|stringWidth)\w+/,
  /Date\.now|new Date\(\)|Math\.random|\bset(Timeout|Interval)\(/,
]

/** `Docker.run` and `Docker.try`, by the receiver's name or by what they are called with: a description and a list of words, or a list. */
const DOCKER_CALL = /(docker|builder)\.(run|try)\(|\.try\((?!\(|async )|\.run\([^;\n]*\[\s*"[a-z]/i

const SAID =
  'no such|not found|already (exists|in use|allocated)|in use by|is (not )?(running|connected|restarting|paused)'
/** A regular expression, or a search for text, with what an engine says of its objects. */
const ENGINE_WORDS = new RegExp(`(/[^/"\n]*|(includes|With)\\("[^"\n]*)(${SAID})[^"\n]*(/[a-z]*[,.;)]|"\\))`, 'i')

/** Who alone may do what. Comments and types do not count: the patterns are looked for in the code that runs. */
const SOLE_OWNERS = [
  {
    what: 'starts processes',
    by: /^lib\/system\/(exec|attach)\.ts$/,
    pattern: /["'](node:)?child_process["']|["']zx|Bun\.(spawn|\$)/,
  },
  { what: 'knows the state file', by: /^lib\/(record|hosts)\//, pattern: /releases\.json/ },
  { what: 'ends the process', by: /^cli\.ts$/, pattern: /process\.(exit|exitCode|abort)\b/ },
  { what: 'uses consola', by: /^lib\/output\//, pattern: /["']consola/ },
  // Compose reads its files without an engine, and says what is wrong with them.
  { what: 'starts docker', by: /^lib\/(docker|compose)\//, pattern: /\[\s*["']docker["'],/ },
  { what: 'writes the arguments of docker', by: /^lib\/docker\//, pattern: DOCKER_CALL },
  // To build them costs every start some milliseconds: the program has only their types.
  {
    what: 'loads the schemas of --json',
    by: /^lib\/output\/contract\//,
    pattern: /contract\/\w+\.ts"|plan\/schema\.ts"/,
  },
  { what: "knows the engine's words", by: /^lib\/(docker|compose)\//, pattern: ENGINE_WORDS },
] as const

const TOP_LEVEL = [
  ...[
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'LICENSE',
    'README.md',
    'SECURITY.md',
    'biome.json',
    'build.ts',
    'bunfig.toml',
    'cli.ts',
    'examples',
    'install.sh',
    'lib',
    'package-lock.json',
  ],
  ...['package.json', 'spec', 'test', 'tsconfig.json'],
]

/** What would tie the repository to one machine or network. (Written so that they do not match themselves.) */
const PRIVATE = [/[/]work[/]/, /[/]farm\b/, /registry[.]npmjs/, /deb[.]debian/, /(registry-1|index|hub)[.]docker/]

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const modules = [...new Bun.Glob('lib/**/*.ts').scanSync(ROOT)].sort()
const sources = [...modules, 'cli.ts']
const transpiler = new Bun.Transpiler({ loader: 'ts' })
const roomOf = (path: string) => path.split('/')[1] ?? ''
const trackedFiles = Bun.spawnSync(['git', 'ls-files', '-z'], { cwd: ROOT })
  .stdout.toString()
  .split('\0')
  .filter(exists)

function exists(path: string): boolean {
  return path !== '' && existsSync(join(ROOT, path))
}

const EXPORTED = /^export (?:async )?(?:function\*?|const|let|class|interface|type) (\w+)/gm

/** The files that a file imports of ours, types included: the transpiler drops those, so it is read in the text. */
function importsOf(path: string): string[] {
  const specifiers = [...read(path).matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^']+\.ts)'/g)].map(
    (found) => found[1] ?? '',
  )
  return specifiers.map((specifier) => join(dirname(path), specifier))
}

describe('rooms', () => {
  test('there are those of the list, and nothing loose next to them', () => {
    expect(readdirSync(join(ROOT, 'lib')).sort()).toEqual(ROOMS.toSorted())
  })

  test.each(modules)('%s imports only from its own room and those before it', (path) => {
    const rank = (file: string) => ROOMS.indexOf(roomOf(file))
    expect(importsOf(path).filter((found) => rank(found) > rank(path))).toEqual([])
  })

  test.each(STRANGERS)('%s and %s do not know each other', (a, b) => {
    const between = modules.flatMap((path) => importsOf(path).map((found) => [roomOf(path), roomOf(found)]))
    expect(between.filter((pair) => pair.includes(a) && pair.includes(b))).toEqual([])
  })

  test.each(modules.filter((path) => PURE.some((folder) => path.startsWith(`lib/${folder}/`))))(
    '%s is pure',
    (path) => {
      const code = transpiler.transformSync(read(path))
      expect(IMPURE.flatMap((pattern) => code.match(pattern)?.[0] ?? [])).toEqual([])
    },
  )

  test('no file imports itself by way of others, not even a type', () => {
    expect(cycleIn(new Map(modules.map((path) => [path, importsOf(path)])))).toEqual([])
  })

  test(`a folder has at most ${MOST_FILES} files, but for the one with a file for each command`, () => {
    const folders = Map.groupBy(modules, dirname)
    folders.delete('lib/cli/commands')
    expect([...folders].filter(([, files]) => files.length > MOST_FILES).map(([folder]) => folder)).toEqual([])
  })

  test('nothing is exported that no other file uses', () => {
    const files = [...sources, 'build.ts', ...trackedFiles.filter((path) => /^test\/.*\.ts$/.test(path))]
    const texts = new Map<string, string[]>()
    for (const path of files) {
      const text = read(path)
      for (const found of importsOf(path)) texts.set(found, [...(texts.get(found) ?? []), text])
    }
    const unused = modules.flatMap((path) =>
      [...read(path).matchAll(EXPORTED)].flatMap(([, name = '']) => {
        const isUsed = texts.get(path)?.some((text) => new RegExp(`\\b${name}\\b`).test(text))
        return isUsed ? [] : [`${path}: ${name}`]
      }),
    )
    expect(unused).toEqual([])
  })

  test("a file's name does not repeat that of its folder", () => {
    expect(modules.filter((path) => basename(dirname(path)) === basename(path, '.ts'))).toEqual([])
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

  test(`a file in test/ has at most ${MOST_TEST_LINES} lines`, () => {
    const code = trackedFiles.filter((path) => /^test\/.*\.ts$/.test(path))
    expect(code.filter((path) => read(path).split('\n').length - 1 > MOST_TEST_LINES)).toEqual([])
  })

  test('no check of the compiler or the linter is switched off', () => {
    const code = trackedFiles.filter((path) => path.endsWith('.ts') && path !== 'test/house/structure.test.ts')
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
