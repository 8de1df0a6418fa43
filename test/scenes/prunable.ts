import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDocker } from '../../lib/docker/client.ts'
import { PHASES, type PhaseStatus } from '../../lib/plan/six-phases.ts'
import { planPrune, prune } from '../../lib/project/prune.ts'
import { type Bundle, contentFolder, readBundle, writeBundle, writeModel } from '../../lib/record/bundle.ts'
import { placeOf } from '../../lib/record/bundle-parts.ts'
import { openState, type State } from '../../lib/record/releases.ts'
import { FakeEngine } from '../fakes/engine.ts'
import { temporaries } from '../support/temporary.ts'

/** The outcome of a release: a word for its six phases. */
export type Fate = 'completed' | 'failed' | 'running' | 'served'
const FATES: Record<Fate, readonly PhaseStatus[]> = {
  completed: ['completed', 'completed', 'completed', 'completed', 'completed', 'completed'],
  failed: ['completed', 'completed', 'completed', 'failed', 'skipped', 'skipped'],
  running: ['completed', 'completed', 'completed', 'running', 'pending', 'pending'],
  served: ['completed', 'completed', 'completed', 'completed', 'completed', 'failed'],
}

type Made = { fate: Fate; environment?: string; content?: string; image?: string; version?: string; hash?: string }

/** A state with made-up releases, oldest first, named r0, r1, … Each has an image of its own unless it says. */
class History {
  readonly engine = new FakeEngine()
  readonly state: State
  readonly ids: string[] = []
  readonly remove: () => void

  constructor(releases: readonly (Fate | Made)[]) {
    const folder = fs.mkdtempSync(join(tmpdir(), 'stagecraft-prune-'))
    this.remove = () => fs.rmSync(folder, { recursive: true })
    this.state = openState(join(folder, '.stagecraft/releases.json'), { clock: () => Date.UTC(2026, 10, 22) })
    for (const [index, made] of releases.entries()) this.#make(index, typeof made === 'string' ? { fate: made } : made)
  }

  #make(index: number, { fate, environment = 'prod', image = `image ${index}`, version = `v${index}`, hash }: Made) {
    const { id } = this.state.createRelease({ environment, version, commit_sha: '' })
    const statuses = FATES[fate].map((status, at) => [PHASES[at], status])
    this.state.updatePhases(id, Object.fromEntries(statuses))
    this.ids.push(id)
    const project = environment === 'prod' ? 'shop' : `shop-${environment}`
    const tag = `${project}-web:${version}`
    const imageId = this.engine.addImage(tag, image)
    const content = `${project}-web:sc-${imageId.slice(7, 19)}`
    this.engine.addImage(content, image)
    const web = { name: tag, reference: content, id: imageId, fingerprint: image, built: true, volumes: false }
    const bundle: Bundle = {
      ...{ v: 1, id, environment, version, commit_sha: '', project, phases: {} },
      images: { web },
      tags: [{ tag, id: imageId }],
      topology: { order: ['web'], needs: {}, jobs: [] },
      content: hash === undefined ? [] : [{ name: './site.conf', hash }],
      config_hashes: {},
      ...(fate === 'failed' ? {} : { switched_at: '2026-11-22T00:00:00.000Z' }),
    }
    writeBundle(this.state.file, bundle)
    writeModel(this.state.file, id, { name: project, services: {} })
    if (hash !== undefined) this.keep(hash)
  }

  /** Puts an entry into the content store. */
  keep(hash: string): string {
    const path = join(contentFolder(this.state.file), hash)
    fs.mkdirSync(join(path, 'deep'), { recursive: true })
    fs.writeFileSync(join(path, 'deep/file'), 'x')
    return path
  }

  plan(keep: number, serving: number | undefined = this.#newestServing(), environment = 'prod') {
    const { bundles, tags } = planPrune(
      this.state,
      { environment, keep, serving: serving === undefined ? undefined : this.ids[serving] },
      placeOf({ key: 'local' }, [{ key: 'local' }]),
    )
    return { bundles: this.names(bundles), tags: tags.map(({ tag }) => tag.replace(/:sc-.*/, ':sc')) }
  }

  async prune(keep: number, environment = 'prod') {
    const serving = this.ids[this.#newestServing() ?? -1]
    const docker = openDocker(this.engine.exec, (text) => text)
    const { bundles, tags, content } = await prune(
      docker,
      this.state,
      planPrune(this.state, { environment, keep, serving }, placeOf({ key: 'local' }, [{ key: 'local' }])),
      { stateFile: this.state.file },
    )
    return { bundles: this.names(bundles), tags: tags.map((tag) => tag.replace(/:sc-.*/, ':sc')), content }
  }

  names(ids: readonly string[]): string[] {
    return ids.map((id) => `r${this.ids.indexOf(id)}`)
  }

  #newestServing(): number | undefined {
    const at = this.ids.findLastIndex((id) => {
      const bundle = readBundle(this.state.file, id)
      return bundle?.environment === 'prod' && bundle.switched_at !== undefined
    })
    return at < 0 ? undefined : at
  }
}

/** Called at the top of a test file. @returns a function that makes such a history, which is removed after its test */
export function histories() {
  const temporary = temporaries()
  return (releases: readonly (Fate | Made)[]) => temporary(new History(releases))
}
