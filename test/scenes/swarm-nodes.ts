import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NodeHost } from '../../lib/hosts/host.ts'
import { type Exec, exec, type Result } from '../../lib/system/exec.ts'
import type { StagecraftError } from '../../lib/util/errors.ts'
import { FakeEngine } from '../fakes/engine.ts'
import { FakeProject } from '../fakes/project.ts'

/** A project on a Swarm of three nodes, each an engine in memory, that is deployed and built from another one. */
export class FakeNodes {
  readonly project: FakeProject
  /** the operator's machine, which builds */
  readonly laptop = new FakeEngine()
  readonly engines: Readonly<Record<string, FakeEngine>>
  /** the hosts of stagecraft.yml that can be used */
  listed = ['n1', 'n2', 'n3']
  failed: readonly StagecraftError[] = []
  /** how often a node was sent images, by its name */
  loads: Record<string, number> = {}
  readonly #folder = mkdtempSync(join(tmpdir(), 'stagecraft-nodes-'))

  constructor(title: string) {
    this.project = new FakeProject(title)
    this.engines = { n1: this.project.engine, n2: new FakeEngine(), n3: new FakeEngine() }
    const { engine } = this.project
    this.project.openManager = async () => ({
      exec: engine.exec,
      local: this.#execOf(this.laptop, 'laptop'),
      attach: async () => 0,
      nodes: async () => ({ reached: this.#reached(), failed: this.failed }),
    })
  }

  /** The content of what a node has under its tags that are names of content. */
  images(name: string): string[] {
    const { tags, images } = (this.engines[name] ?? this.laptop).state
    const own = Object.entries(tags).filter(([tag]) => /:sc-[0-9a-f]{12}$/.test(tag))
    return own.map(([tag, id]) => `${tag.replace(/:.*/, '')}: ${images[id]?.content}`).toSorted()
  }

  remove(): void {
    this.project.remove()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #reached(): NodeHost[] {
    return this.listed.flatMap((node) => {
      const engine = this.engines[node]
      if (engine === undefined) return []
      return [{ name: `root@${node}`, node, exec: this.#execOf(engine, node), attach: async () => 0 }]
    })
  }

  /** An engine that also saves and loads images. */
  #execOf(engine: FakeEngine, name: string): Exec {
    return async (argv, options = {}) => {
      const [program, verb = '', ...rest] = argv
      const answer = (stdout = ''): Result => ({ argv, code: 0, stdout, stderr: '', timedOut: false })
      if (program !== 'docker') return exec(argv, options)
      if (verb === 'save') return this.#save(engine, rest.slice(1)).then(() => answer())
      if (verb === 'load') {
        this.loads[name] = (this.loads[name] ?? 0) + 1
        const bytes = await new Response(options.inputFrom as never).bytes() // a stream of a file
        return this.#load(engine, bytes).then(() => answer())
      }
      if (verb === 'image' && rest.includes('-q')) return answer()
      return engine.exec(argv, options)
    }
  }

  async #save(engine: FakeEngine, [archive = '', ...tags]: readonly string[]): Promise<void> {
    const { state } = engine
    const saved = tags.map((tag) => [tag, state.images[state.tags[tag] ?? '']])
    const folder = join(this.#folder, crypto.randomUUID())
    mkdirSync(folder)
    writeFileSync(join(folder, 'images.json'), JSON.stringify(saved))
    writeFileSync(join(folder, 'manifest.json'), '[]')
    await exec(['tar', '-cf', archive, '-C', folder, 'images.json', 'manifest.json'])
  }

  async #load(engine: FakeEngine, bytes: Uint8Array): Promise<void> {
    const folder = join(this.#folder, crypto.randomUUID())
    mkdirSync(folder)
    writeFileSync(join(folder, 'archive'), bytes)
    await exec(['tar', '-xzf', join(folder, 'archive'), '-C', folder])
    for (const [tag, image] of JSON.parse(readFileSync(join(folder, 'images.json'), 'utf8'))) {
      engine.state.images[image.id] = image
      engine.state.tags[tag] = image.id
    }
  }
}
