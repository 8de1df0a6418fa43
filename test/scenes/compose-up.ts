import type { ComposeModel } from '../../lib/compose/model.ts'
import type { FakeEngine } from '../fakes/engine.ts'

/** `docker compose up`, but for what Stagecraft never does: the fake engine knows only its flags. Its calls are forgotten. */
export async function composeUp(engine: FakeEngine, model: ComposeModel, services: readonly string[]): Promise<void> {
  const up = ['up', '-d', '--no-deps', '--no-build', '--pull', 'never', '--force-recreate', '--', ...services]
  await engine.exec(['docker', 'compose', '-p', model.name, '-f', '-', ...up], { input: JSON.stringify(model) })
  engine.calls = []
}
