import { afterEach, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDocker } from '../../lib/docker/client.ts'
import { openTransfer } from '../../lib/hosts/transfer.ts'
import type { Event } from '../../lib/output/events.ts'
import { type Exec, exec, type Result } from '../../lib/system/exec.ts'
import { StagecraftError } from '../../lib/util/errors.ts'

const root = fs.mkdtempSync(join(tmpdir(), 'stagecraft-transfer-'))
afterEach(() => fs.rmSync(root, { recursive: true, force: true }))

const ID = `sha256:${'a'.repeat(64)}`
const image = { Id: ID, RepoTags: ['shop-web:v1'], RootFS: { Layers: ['sha256:base', 'sha256:top'] }, Config: {} }
const missing = (name: string) => ({
  code: 1,
  stdout: '[]',
  stderr: `Error response from daemon: No such image: ${name}`,
})

/** What `docker save` writes: an image of two layers. */
async function saved(archive: string): Promise<void> {
  const folder = join(root, 'image')
  fs.mkdirSync(folder, { recursive: true })
  const write = (name: string, value: unknown) => fs.writeFileSync(join(folder, name), JSON.stringify(value))
  write('config.json', { rootfs: { diff_ids: image.RootFS.Layers } })
  write('base.tar', 'base')
  write('top.tar', 'top')
  write('manifest.json', [{ Config: 'config.json', Layers: ['base.tar', 'top.tar'] }])
  await exec(['tar', '-cf', archive, '-C', folder, ...fs.readdirSync(folder)])
}

/** A host's engine: what others have there comes and goes, and so may what is sent. */
interface Host {
  /** how often what was loaded is removed again before it is inspected */
  readonly loses: number
  /** what `docker image inspect` says of the images of others */
  readonly others: Partial<Result>
}

async function send({ loses, others }: Host) {
  const loads: string[] = []
  const events: Event[] = []
  const answer = (argv: readonly string[], said: Partial<Result>): Result => {
    return { argv, code: 0, stdout: '', stderr: '', timedOut: false, ...said }
  }
  const here: Exec = async (argv, options) => {
    if (argv[0] !== 'docker') return exec(argv, options)
    if (argv[1] === 'save') await saved(argv[3] ?? '')
    return answer(argv, { stdout: JSON.stringify([image]) })
  }
  const there: Exec = async (argv, options) => {
    const line = argv.slice(1).join(' ')
    if (line === 'load') {
      loads.push(await new Response(options?.inputFrom as never).text().then((text) => (text.length > 0 ? 'load' : '')))
      return answer(argv, {})
    }
    if (line.startsWith('image ls')) return answer(argv, { stdout: 'sha256:x\nsha256:y\n' })
    if (line.startsWith('image inspect --format')) return answer(argv, others)
    const isThere = loads.length > loses
    return answer(
      argv,
      isThere && !line.startsWith('tag') ? { stdout: JSON.stringify([image]) } : missing('shop-web:v1'),
    )
  }
  const docker = (run: Exec) => openDocker(run, (text) => text)
  const transfer = openTransfer({ exec: here, from: docker(here) })
  const destination = { to: docker(there), emit: (event: Event) => events.push(event), host: 'h', present: new Map() }
  try {
    const { images } = await transfer.send(destination, ['shop-web:v1'])
    return { loads: loads.length, there: [...images.keys()], warned: events.some(({ type }) => type === 'warning') }
  } catch (error) {
    if (error instanceof StagecraftError) return `${error.kind}: ${error.message}`
    throw error
  } finally {
    transfer.close()
  }
}

describe('sending images to a host where images come and go', () => {
  const gone = { code: 1, stdout: '["sha256:base"]\n', stderr: missing('sha256:y').stderr }

  test('one that goes between the list and the look at it is not there, and that is all', async () => {
    expect(await send({ loses: 0, others: gone })).toEqual({ loads: 1, there: ['shop-web:v1'], warned: false })
  })

  test('where all of them go the image is sent whole', async () => {
    const others = { ...gone, stdout: '' }
    expect(await send({ loses: 0, others })).toEqual({ loads: 1, there: ['shop-web:v1'], warned: false })
  })

  test('an image that was sent and is missing again is sent once more', async () => {
    expect(await send({ loses: 1, others: { ...gone, stdout: '' } })).toEqual({
      ...{ loads: 2, there: ['shop-web:v1'], warned: false },
    })
  })

  test('an image that is missing each time is reported', async () => {
    expect(await send({ loses: 9, others: gone })).toBe(
      'failed: Cannot send shop-web:v1 to h: it was removed there twice, right after it had arrived',
    )
  })

  test('an engine that fails for another reason stops it', async () => {
    const others = { code: 1, stdout: '', stderr: `${gone.stderr}\nError response from daemon: disk on fire` }
    expect(await send({ loses: 0, others })).toBe('failed: Cannot inspect images: docker image exited with 1')
  })
})
