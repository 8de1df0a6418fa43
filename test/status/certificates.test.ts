import { expect, test } from 'bun:test'
import { certificateLines, judgeCertificate } from '../../lib/status/certificates.ts'
import { attention, isAsReleased } from '../../lib/status/environment.ts'
import { certificateOf, logged } from '../fakes/certificates.ts'
import type { FakeProject } from '../fakes/project.ts'
import { newRouted } from '../scenes/routed.ts'
import { deployed, HOUR, look, printed } from '../scenes/status.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const AT = Date.UTC(2026, 10, 22, 8)

/** Three names: all is well, cannot be renewed, refused. */
async function shop(): Promise<FakeProject> {
  const expose = 'host: [a.example.com, b.example.com, new.example.com], port: 3000'
  const project = temporary(newRouted('certificates', { settings: { web: `{expose: {${expose}}}` } }))
  const failed = (name: string, error: string) => logged(name, 'could not get certificate from issuer', AT, error)
  const said: Record<string, string> = {
    'a.example.com': certificateOf('a.example.com'),
    'b.example.com':
      certificateOf('b.example.com') + failed('b.example.com', '[b] creating new order: connection refused'),
    'new.example.com': failed(
      'new.example.com',
      'HTTP 429 urn:ietf:params:acme:error:rateLimited - too many certificates for "example.com" (ca=…)',
    ),
  }
  project.engine.proxy.certificate = (host) => said[host] ?? ''
  return deployed(project)
}

test('the certificates are shown, with what is wrong; a missing one needs attention', async () => {
  const project = await shop()
  const status = await look(project)
  expectGolden('commands/status.md', 'certificates', certificateLines(status.certificates).join('\n'))
  expect([isAsReleased(status), attention(status), status.drift]).toEqual([false, ['a certificate'], []])
  expect(printed(project, status).split('\n')[0]).toEndWith('as released; a certificate needs attention (below)')
})

test('one that is not renewed in time needs attention, and so does one that has ended', async () => {
  const project = await shop()
  const problems = async (hours: number) => {
    project.engine.state.now = Date.UTC(2027, 0, 30, 8) - hours * HOUR
    return (await look(project)).certificates.map(({ name, problem }) => `${name}: ${problem}`).slice(0, 1)
  }
  expect(await problems(15 * 24)).toEqual(['a.example.com: undefined'])
  expect(await problems(13 * 24)).toEqual([
    'a.example.com: it ends 2027-01-30 08:00, and should have been renewed by now',
  ])
  expect(await problems(0)).toEqual(['a.example.com: it ended 2027-01-30 08:00'])
})

test("one of Caddy's own authority ends within hours, always", () => {
  const state = { name: 'a', service: 'web', tls: 'internal' } as const
  const hours = { from: new Date(AT).toISOString(), until: new Date(AT + 12 * HOUR).toISOString() }
  expect(judgeCertificate({ ...state, ...hours }, AT + 11 * HOUR).problem).toBeUndefined()
  expect(judgeCertificate({ ...state, requested: true }, AT).problem).toBe('there is none yet: it is being requested')
})
