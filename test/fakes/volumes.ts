import { createHash } from 'node:crypto'
import type { Writable } from 'node:stream'
import type { Answer } from './answer.ts'
import type { FakeEngine } from './engine.ts'

/** Anonymous volumes of a fake engine: by what they are called in its containers, what is in them. */
export type Filled = Record<string, string>

/** What the engine calls a volume without a name. */
export function volumeName(anonymous: string): string {
  return createHash('sha256').update(anonymous).digest('hex')
}

/** The commands that look into volumes and remove them. @returns undefined for any other */
export function answerVolumes(
  engine: FakeEngine,
  args: readonly string[],
  outputTo: Writable | undefined,
): Answer | undefined {
  const { state } = engine
  const [first, second = ''] = args
  const wanted = args.flatMap((word) => (word.startsWith('volume=') ? [word.slice('volume='.length)] : []))
  if (first === 'ps' && wanted.length > 0) {
    const users = state.containers.filter(({ anonymous }) => wanted.includes(volumeName(anonymous)))
    return { stdout: users.map(({ id }) => `${id}\n`).join('') }
  }
  if (first === 'create' && args.at(-1) === 'none') return create(engine, args)
  if (first === 'cp' && args[2] === '-') return copy(engine, second, outputTo)
  if (first === 'rm' && second === '--force' && /^stagecraft-(volumes|assets-to)-/.test(args.at(-1) ?? '')) {
    const name = args.at(3) ?? ''
    if (state.compared[name] === undefined) return { code: 1, stderr: `Error: No such container: ${name}` }
    delete state.compared[name]
    return {}
  }
  if (first === 'volume' && second === 'rm' && args[2]?.length === 64) return remove(engine, args.slice(2))
  return undefined
}

function create({ state }: FakeEngine, args: readonly string[]): Answer {
  const name = args[args.indexOf('--name') + 1] ?? ''
  const image = state.images[args.at(-2) ?? '']
  if (image === undefined) return { code: 1, stderr: `Error response from daemon: No such image: ${args.at(-2)}` }
  if (state.compared[name] !== undefined) return { code: 1, stderr: 'Error response from daemon: Conflict.' }
  state.compared[name] = image.id
  return { stdout: 'created\n' }
}

function copy({ state }: FakeEngine, from: string, outputTo: Writable | undefined): Answer {
  const [name = ''] = from.split(':')
  const container = state.containers.find(({ id }) => id === name)
  const image = state.images[state.compared[name] ?? '']
  if (container === undefined && image === undefined) return { code: 1, stderr: `No such container: ${name}` }
  outputTo?.on('error', () => {}) // as a real one, which ends the command then
  outputTo?.write(tarOf(container ? (state.filled[container.anonymous] ?? '') : (image?.content ?? '')))
  return {}
}

function remove({ state }: FakeEngine, names: readonly string[]): Answer {
  const used = names.filter((name) => state.containers.some(({ anonymous }) => volumeName(anonymous) === name))
  for (const key of Object.keys(state.filled))
    if (names.includes(volumeName(key)) && !used.includes(volumeName(key))) delete state.filled[key]
  return used.length === 0 ? {} : { code: 1, stderr: `Error response from daemon: remove ${used[0]}: volume is in use` }
}

/** One file with this text, made long ago. */
function tarOf(text: string): Buffer {
  const [header, content] = [Buffer.alloc(512), Buffer.alloc(Math.ceil(text.length / 512) * 512)]
  header.write('./file')
  header.write(text.length.toString(8).padStart(11, '0'), 124)
  header.write('0', 156)
  content.write(text)
  return Buffer.concat([header, content, Buffer.alloc(1024)])
}

/** `docker volume inspect`, `create`, `rm` and `ls`: of volumes with a name. */
export function answerNamedVolume(engine: FakeEngine, what: string, words: readonly string[]): Answer {
  const name = words.at(-1) ?? ''
  if (what === 'inspect')
    return engine.state.volumes.includes(name) ||
      engine.state.containers.some(({ anonymous }) => volumeName(anonymous) === name)
      ? { stdout: '[{}]\n' }
      : { code: 1, stderr: `Error response from daemon: get ${name}: no such volume` }
  if (what === 'create') {
    const labels = words.slice(0, -1).filter((word) => word !== '--label')
    engine.state.owners[name] ??= Object.fromEntries(labels.map((label) => label.split('=') as [string, string]))
  } else if (what === 'rm') delete engine.state.owners[name]
  else if (words.includes('label=com.docker.compose.volume')) {
    const rows = engine.state.volumes.map((volume) => [volume, ...volume.split('_', 2)].join('\t'))
    return { stdout: rows.map((row) => `${row}\n`).join('') }
  } else {
    const ours = Object.entries(engine.state.owners).filter(([, labels]) => 'stagecraft.root' in labels)
    const rows = ours.map(([volume, labels]) =>
      [volume, ...['host', 'root', 'environment'].map((key) => labels[`stagecraft.${key}`])].join('\t'),
    )
    return { stdout: rows.map((row) => `${row}\n`).join('') }
  }
  return { stdout: `${name}\n` }
}
