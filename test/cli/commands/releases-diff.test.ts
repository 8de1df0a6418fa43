import { describe, expect, test } from 'bun:test'
import { rmSync } from 'node:fs'
import { COMPLETED, firstLine, HISTORY, release, releasesCommand } from '../../scenes/release-history.ts'
import { expectGolden } from '../../support/golden.ts'

const { pathOf, project, releases } = releasesCommand()

describe('stagecraft releases diff', () => {
  const [BEFORE, AFTER] = ['rel-20261122-080225643', 'rel-20261122-091500001'] as const
  const hash = (digit: string) => digit.repeat(32)
  const mount = (content: string) => ({ type: 'bind', source: `/c/${content}`, target: '/x', read_only: true })

  function bundleOf(
    id: string,
    version: string,
    web: object,
    others: readonly string[],
    content: string,
    fingerprint = version,
  ) {
    const services = {
      web: { ...web, volumes: [mount(content)] },
      ...Object.fromEntries(others.map((name) => [name, {}])),
    }
    const bundle = {
      ...{ v: 1, id, environment: 'prod', version, commit_sha: '', project: 'shop', phases: {}, config_hashes: {} },
      topology: { order: [], needs: {}, jobs: [] },
      images: {
        web: { name: `shop-web:${version}`, reference: 'x', id: 'sha256:1', fingerprint, built: true, volumes: false },
      },
      content: [{ name: './nginx.conf', hash: content }],
    }
    return {
      [`.stagecraft/releases/${id}/release.json`]: JSON.stringify(bundle),
      [`.stagecraft/releases/${id}/compose.json`]: JSON.stringify({ name: 'shop', services }),
    }
  }

  function twoBundles() {
    project([release(BEFORE, 'prod', 'v1', COMPLETED), release(AFTER, 'prod', 'v2', COMPLETED)], {
      ...bundleOf(BEFORE, 'v1', { environment: { API_URL: 'secret-one' } }, ['old'], hash('a')),
      ...bundleOf(AFTER, 'v2', { environment: { API_URL: 'secret-two' } }, ['worker'], hash('b')),
    })
  }

  test('says what is different, without values', async () => {
    twoBundles()
    const { exit, stdout, stderr } = await releases('diff', BEFORE, 'current')
    expectGolden('commands/releases.md', 'diff', stdout)
    expect([exit, stderr]).toEqual([0, ''])
    const json = await releases('diff', BEFORE, AFTER, '--json')
    expect(JSON.parse(json.stdout.split('\n')[0] ?? '')).toEqual({
      ...{ v: 1, type: 'diff', before: BEFORE, after: AFTER },
      services: [
        { service: 'old', change: 'removed', what: [] },
        {
          service: 'web',
          change: 'changed',
          what: ['image changed', 'environment changed (API_URL)', 'content of ./nginx.conf changed'],
        },
        { service: 'worker', change: 'added', what: [] },
      ],
      content: [{ name: './nginx.conf', change: 'changed' }],
    })
    expect(`${stdout}${json.stdout}`).not.toContain('secret')
  })

  test('says that two are the same', async () => {
    project([release(BEFORE, 'prod', 'v1', COMPLETED), release(AFTER, 'prod', 'v2', COMPLETED)], {
      ...bundleOf(BEFORE, 'v1', {}, [], hash('a'), 'equal'),
      ...bundleOf(AFTER, 'v2', {}, [], hash('a'), 'equal'),
    })
    expectGolden('commands/releases.md', 'same', (await releases('diff', BEFORE, AFTER)).stdout)
  })

  test('needs both bundles, and says which is not there', async () => {
    project(HISTORY)
    const calls = await Promise.all([
      releases('diff', BEFORE, AFTER),
      releases('diff', BEFORE, 'rel-1999'),
      releases('diff', 'current', AFTER),
      releases('diff', 'current', AFTER, '--env', 'prod'),
      releases('diff', BEFORE),
    ])
    expect(calls.map(({ exit }) => exit)).toEqual([4, 4, 2, 4, 2])
    expect(calls[0]?.stderr).toStartWith(
      `Cannot compare ${BEFORE} (v1): its bundle is incomplete\n  hint: It was pruned`,
    )
  })

  test('does not take part of a bundle for the whole', async () => {
    twoBundles()
    rmSync(pathOf(`.stagecraft/releases/${AFTER}/compose.json`))
    expect(firstLine(await releases('diff', BEFORE, AFTER))).toBe(
      `4 Cannot compare ${AFTER} (v2): its bundle is incomplete`,
    )
  })
})
