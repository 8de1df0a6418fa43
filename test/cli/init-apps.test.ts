import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findComposeFiles, findEnvFile } from '../../lib/cli/init/env-file.ts'
import { evidenceIn } from '../../lib/cli/init/evidence.ts'
import { lookAtImages } from '../../lib/cli/init/images/inspect.ts'
import { configTemplate } from '../../lib/cli/init/template/config-file.ts'
import { unescapeDollars } from '../../lib/compose/load.ts'
import type { ComposeModel } from '../../lib/compose/model.ts'
import { parseConfig } from '../../lib/config/parse.ts'
import { maskOf } from '../../lib/secrets/mask.ts'
import { uncommented } from '../support/init.ts'

// Applications as people have them: each folder has its Compose file, what Docker Compose makes of it (model.json, with @ for the
// folder), and what init writes, for a person to judge. test/e2e/init.test.ts makes both again.
const APPS = join(import.meta.dir, '../fixtures/apps')

/** @returns what init writes without an engine */
async function written(app: string, hosts: readonly string[] = [], domain?: string): Promise<string> {
  const folder = join(APPS, app)
  const text = readFileSync(join(folder, 'model.json'), 'utf8')
    .replaceAll('@/', `${folder}/`)
    .replaceAll('"@"', `"${folder}"`)
  const model = unescapeDollars(JSON.parse(text), 'keys too') as ComposeModel // as Compose prints it
  const noEngine = async (argv: readonly string[]) => ({
    argv,
    code: 1,
    stdout: '',
    stderr: 'no engine',
    timedOut: false,
  })
  const evidence = evidenceIn(
    model,
    folder,
    await lookAtImages(
      noEngine,
      model,
      maskOf((said) => said),
    ),
  )
  const files = { envFile: findEnvFile(folder), composeFiles: findComposeFiles(folder, {}) }
  return configTemplate({ ...evidence, ...files, project: app, hosts, domain })
}

describe.each(readdirSync(APPS))('what init writes for %s', (app) => {
  test('is what a person has approved', async () => {
    const file = join(APPS, app, 'stagecraft.yml')
    const text = await written(app)
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, text)
    expect(text).toBe(readFileSync(file, 'utf8'))
  })

  test('validates, for this machine, one host and several, as it is and with its examples', async () => {
    const one = await written(app, ['deploy@web-1.example.com'], 'shop.example.com')
    const several = await written(app, ['deploy@web-1.example.com', 'ssh://root@10.0.0.2:2222'])
    for (const text of [await written(app), one, several]) {
      expect(Object.keys(parseConfig(text).environments)).toHaveLength(1)
      const { local, prod } = parseConfig(uncommented(text)).environments
      expect([local !== undefined, prod !== undefined]).toEqual([text !== one && text !== several, true])
      if (local?.data.length) expect(prod).toMatchObject({ data: local.data, services: local.services })
    }
  })
})
