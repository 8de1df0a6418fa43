import { beforeAll, describe, expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import { deploy, expectCode, httpd, idle, QUICK_STOP, sharedFolder, sharedFolders, touchedBy, writeApp } from './app.ts'

// Names and values that a shell, Compose or a parser could take for something else.
const h1 = host('h1')
const [folder, names] = sharedFolders(h1, 'hostile', 'names')

const VALUES = {
  SPACES: '  two  spaces  ',
  QUOTES: `it's "quoted" \\' \\" \\\\`,
  DOLLARS: '$HOME ${HOME} $$ $$$ ${UNSET:-x} $(touch executed)',
  NEWLINES: 'one\ntwo\n\n  three\n',
  RETURN: 'a\r\nb\tc',
  DASHES: '--privileged -v /:/host',
  UNICODE: 'größer 日本語 🚀 e\u0301',
  SHELL: '; touch executed & `touch executed` | touch executed > executed',
  JSON: '{"a": [1, "b"]}',
  HASH: 'before # after',
  EQUALS: 'a=b=c',
  NUMBER: '0012',
  BOOLEAN: 'yes',
  NULL: 'null',
  EMPTY: '',
  LONG: 'x'.repeat(20_000),
}

/** A folder and files whose names are as unkind as the file system permits. */
const PROJECT = `pro ject $HOME 'q' "d" -x ü`
const FILE = `-a file's\n"name" $HOME \`touch executed\` ü.txt`
const asCompose = (text: string) => text.replaceAll('$', '$$$$')
const inside = { cwd: `${folder.path}/${PROJECT}` }
const write = (file: string, content: string) => folder.write(`${PROJECT}/${file}`, content)

beforeAll(() => {
  write(FILE, 'bind\n')
  write(`conf/${FILE}`, 'config\n')
  write(`secret ${FILE}`, 'secret\n')
  write(`env ${FILE}`, 'FROM_FILE=\'$literal\'\nDOUBLE="a b"\n')
  write(`con text/${FILE}`, 'built\n')
  write(
    `con text/-Dockerfile $x`,
    'FROM busybox:1\nARG ARGUMENT\nCOPY . /built\nRUN printf %s "$ARGUMENT" >/argument\n',
  )
  const environment = Object.fromEntries(Object.entries(VALUES).map(([name, value]) => [name, asCompose(value)]))
  const compose = {
    name: folder.name,
    services: {
      web: {
        build: {
          context: './con text',
          dockerfile: asCompose('-Dockerfile $x'),
          args: { ARGUMENT: asCompose(VALUES.SHELL + VALUES.DOLLARS + VALUES.QUOTES) },
        },
        command: httpd('/'),
        environment,
        env_file: [`env ${asCompose(FILE)}`],
        volumes: [
          { type: 'bind', source: `./${asCompose(FILE)}`, target: `/files/${asCompose(FILE)}`, read_only: true },
        ],
        configs: [{ source: 'c', target: `/configs/${asCompose(FILE)}` }],
        secrets: [{ source: 's', target: 'plain' }],
        labels: { 'a label': asCompose(VALUES.QUOTES + VALUES.DOLLARS) },
        ...QUICK_STOP,
      },
    },
    configs: { c: { file: `./conf/${asCompose(FILE)}` } },
    secrets: { s: { file: `./secret ${asCompose(FILE)}` } },
  }
  write('compose.yaml', JSON.stringify(compose))
  write('stagecraft.yml', 'environments: {local: {services: {web: {rollout: {min_ready: 300ms}}}}}\n')
})

/** Everything next to the project folder, and the folders where executed code would leave its mark. */
async function surroundings(): Promise<string> {
  const script = `find .. -mindepth 1 -path "../$1" -prune -o -print | sort; ls /executed /tmp/executed /root/executed 2>/dev/null`
  return (await folder.exec(['sh', '-c', script, 'sh', PROJECT], inside)).stdout
}

describe('a project whose folder, files and values are hostile', () => {
  test('is deployed, and a second deploy finds nothing changed', async () => {
    const before = await surroundings()
    const run = (version: string) => folder.stagecraft(['deploy', '--version', version], inside)
    expectCode(await run('v1'), 0)
    expect(await touchedBy(folder, async () => expectCode(await run('v2'), 0))).toEqual([])
    expect(await surroundings()).toBe(before)
    expect(folder.exists(`${PROJECT}/executed`)).toBe(false)
  })

  test('every value arrives byte for byte', async () => {
    const [web] = await folder.containers()
    const { stdout } = await folder.docker(['exec', web?.id ?? '', 'cat', '/proc/1/environ'])
    const arrived = Object.fromEntries(
      stdout.split('\0').map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
    )
    expect(arrived).toMatchObject({ ...VALUES, FROM_FILE: '$literal', DOUBLE: 'a b' })
    const label = await folder.docker(['inspect', '--format', '{{index .Config.Labels "a label"}}', web?.id ?? ''])
    expect(label.stdout).toBe(`${VALUES.QUOTES}${VALUES.DOLLARS}\n`)
    const argument = await folder.docker(['exec', web?.id ?? '', 'cat', '/argument'])
    expect(argument.stdout).toBe(`${VALUES.SHELL}${VALUES.DOLLARS}${VALUES.QUOTES}`)
  })

  test('every file arrives with its content', async () => {
    const [web] = await folder.containers()
    const paths = [`/files/${FILE}`, `/configs/${FILE}`, '/run/secrets/plain', `/built/${FILE}`]
    const { stdout } = await folder.docker(['exec', web?.id ?? '', 'cat', ...paths])
    expect(stdout).toBe('bind\nconfig\nsecret\nbuilt\n')
  })

  test('a value that changed in one byte is a change', async () => {
    write(`env ${FILE}`, 'FROM_FILE=\'$litera1\'\nDOUBLE="a b"\n')
    const run = async () => expectCode(await folder.stagecraft(['deploy', '--version', 'v3'], inside), 0)
    expect(await touchedBy(folder, run)).toEqual(['web'])
  })
})

// As the Compose specification has it: [a-zA-Z0-9._-]+
const SERVICES = ['A.B-c_9', '--help', '.dot', 'under_', 'n'.repeat(80)]

test('service names at the edges of what Compose permits are deployed, changed and removed', async () => {
  const app = (word: string, services: readonly string[]) => ({
    services: Object.fromEntries(services.map((name) => [name, { ...idle, environment: { WORD: word } }])),
  })
  writeApp(names, app('one', SERVICES))
  await deploy(names, 'v1')
  expect((await names.containers()).map(({ service }) => service).sort()).toEqual(SERVICES.toSorted())
  writeApp(names, app('two', SERVICES))
  expect(await touchedBy(names, () => deploy(names, 'v2'))).toEqual(SERVICES.toSorted())
  writeApp(names, app('two', ['--help']))
  await deploy(names, 'v3')
  expect((await names.containers()).map(({ service }) => service)).toEqual(['--help'])
})

describe('refused with a clear error, and nothing is written', () => {
  const CASES = [
    ['a service name that Compose refuses', '{"services": {"a b": {"image": "busybox:1"}}}', 3],
    ['a service name that climbs', '{"services": {"../../x": {"image": "busybox:1"}}}', 3],
    ['a service name that every object has', '{"services": {"constructor": {"image": "busybox:1"}}}', 3],
    ['another', '{"services": {"__proto__": {"image": "busybox:1"}}}', 3],
    ['a Compose file that is no mapping', '["services"]', 3],
    ['a Compose file that is no YAML', '{"services": ', 3],
    ['a Compose file without services', '{"services": {}}', 3],
  ] as const
  const refused = sharedFolder(h1, 'refused')

  test.each(CASES)('%s', async (_, compose, exit) => {
    refused.write('compose.yaml', compose)
    const { code, stderr } = await refused.stagecraft(['deploy', '--version', 'v1'])
    expect({ code, stderr }).toMatchObject({ code: exit, stderr: expect.stringMatching(/^Cannot /) })
    expect(refused.exists('.stagecraft')).toBe(false)
  })
})
