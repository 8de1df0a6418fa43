import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { Site } from '../scenes/site.ts'
import { isUp, labHostCommand } from '../support/lab.ts'
import { deploy, expectCode, until, writePage } from './app.ts'

// h9 (28.5) with the containerd image store for a while: it wants every blob of an image by its own name, and has ids of its own.
// Runs alone: the engine is restarted, and its earlier containers are not visible meanwhile.
describe.skipIf(!isUp('h9') || !isUp('h1'))('a host with the containerd image store', () => {
  const site = new Site('h9', 'h9', 'store')
  const { folder, server } = site

  async function useStore(containerd: boolean): Promise<void> {
    await labHostCommand('hold', 'h9', 'dockerd')
    const config = JSON.stringify({ features: { 'containerd-snapshotter': containerd } })
    await server.exec(['sh', '-c', 'mkdir -p /etc/docker && printf %s "$0" >/etc/docker/daemon.json', config])
    await labHostCommand('free', 'h9', 'dockerd')
    await until('the engine answers', async () => (await server.docker(['version'])).code === 0 || 'it does not')
  }

  beforeAll(async () => {
    await site.begin()
    await useStore(true)
    const driver = await server.docker(['info', '--format', '{{json .DriverStatus}}'])
    expect(driver.stdout).toContain('io.containerd.snapshotter')
    // As from a registry: the same layer, but compressed, and so another blob.
    expectCode(await folder.docker(['save', '-o', join(folder.path, 'busybox.tar'), 'busybox:1']), 0)
    const layout = join(server.folders, folder.name)
    await compressed(folder.path, server.seenHere(layout))
    expectCode(await server.exec(['sh', '-c', 'tar -cf - -C "$0" . | docker load && rm -rf "$0"', layout]), 0)
  })
  afterAll(async () => {
    await site.cleanUp()
    await server.docker(['rmi', 'busybox:1'])
    await useStore(false)
  })

  /** Takes an image that was saved apart, and writes it as an OCI layout with compressed layers. */
  async function compressed(from: string, to: string): Promise<void> {
    expectCode(await folder.exec(['sh', '-c', 'mkdir saved && tar -xf busybox.tar -C saved']), 0)
    const read = (path: string) => readFileSync(join(from, 'saved', path))
    const [{ Config, Layers }] = JSON.parse(read('manifest.json').toString())
    const blobs = join(to, 'blobs/sha256')
    mkdirSync(blobs, { recursive: true })
    const put = (mediaType: string, bytes: Buffer) => {
      const name = createHash('sha256').update(bytes).digest('hex')
      writeFileSync(join(blobs, name), bytes)
      return { mediaType: `application/vnd.oci.image.${mediaType}`, digest: `sha256:${name}`, size: bytes.length }
    }
    const layers = Layers.map((layer: string) => put('layer.v1.tar+gzip', gzipSync(read(layer))))
    const manifest = { schemaVersion: 2, config: put('config.v1+json', read(Config)), layers }
    const entry = put('manifest.v1+json', Buffer.from(JSON.stringify(manifest)))
    const annotations = { 'io.containerd.image.name': 'docker.io/library/busybox:1' }
    writeFileSync(join(to, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [{ ...entry, annotations }] }))
    writeFileSync(join(to, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  }

  const contentOf = async (inspect: (args: readonly string[]) => Promise<{ stdout: string }>) =>
    (
      await inspect([
        'image',
        'inspect',
        '--format',
        '{{json .RootFS.Layers}} {{json .Config.Cmd}}',
        `${folder.name}-prod-web:v1`,
      ])
    ).stdout

  test('gets whole images where it does not accept parts of them, says so, and they are the same', async () => {
    const { stderr } = await deploy(folder, 'v1')
    expect(stderr).toContain('h9 does not accept images without the layers that it already has: they are sent whole')
    expect(await site.page()).toBe('version one')
    expect(await contentOf(server.docker)).toBe(await contentOf(folder.docker))
  })

  test('has them afterwards: nothing is sent again, although its ids differ', async () => {
    const before = await site.containers()
    const { stderr } = await deploy(folder, 'v1')
    expect(stderr).toContain('h9 has all images')
    expect(await site.containers()).toEqual(before)
  })

  test('only the changed part of an image is sent if it has the rest, and a rollback restores the old one', async () => {
    writePage(folder, 'version two')
    const { stderr } = await deploy(folder, 'v2')
    expect(stderr).toMatch(/sent 1 to h9, [\d.]+ kB of [\d.]+ MB/)
    expect(await site.page()).toBe('version two')
    expectCode(await folder.stagecraft(['rollback']), 0)
    expect(await site.page()).toBe('version one')
  })
})
