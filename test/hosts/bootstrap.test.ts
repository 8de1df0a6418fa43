import { describe, expect, test } from 'bun:test'
import { readyLine, stepLine } from '../../lib/cli/commands/bootstrap.ts'
import { type HostFacts, planBootstrap, requireRoot } from '../../lib/hosts/bootstrap/plan.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

const READY: HostFacts = {
  name: 'web-1',
  user: 'deploy',
  isRoot: false,
  maySudo: true,
  system: ['debian'],
  hasEngine: true,
  runs: true,
  inGroup: true,
  root: '/var/lib/stagecraft',
  rootMode: '2770 docker',
  group: 'docker',
  used: [],
}
const steps = (facts: Partial<HostFacts>) => planBootstrap({ ...READY, ...facts }).map(({ what }) => what)

describe('planBootstrap()', () => {
  test('does nothing if nothing is missing, for any user', () => {
    expect(steps({})).toEqual([])
    expect(steps({ isRoot: true, inGroup: false })).toEqual([])
    expect(steps({ maySudo: false })).toEqual([])
    expect(steps({ system: ['alpine'] })).toEqual([])
  })

  test('takes no root folder that is in use, and goes by the group of the socket', () => {
    const used = ['www', 'index.html', 'a', 'b']
    const taken = { name: 'deploy@web-1', root: '/srv/www', rootMode: '755 root', used: ['html', 'logs'] }
    try {
      planBootstrap({ ...READY, ...taken })
    } catch (error) {
      expectGolden('commands/bootstrap.md', 'in-use', formatError(error).join('\n'))
    }
    expect(() => planBootstrap({ ...READY, root: '/srv', rootMode: '755 root', used })).toThrow(
      'Cannot take /srv on web-1: it is in use (www, index.html, a, 1 more)',
    )
    expect(steps({ rootMode: '2770 docker', used })).toEqual([]) // it is shared already: nothing is changed
    expect(steps({ rootMode: '755 root' })).toEqual(['make /var/lib/stagecraft, shared by the group docker'])
    expect(steps({ rootMode: '2770 docker', group: 'engine' })).toEqual([
      'make /var/lib/stagecraft, shared by the group engine',
    ])
  })

  test('does everything on a bare host, the engine first', () => {
    const bare = { hasEngine: false, runs: false, inGroup: false }
    expect(
      planBootstrap({ ...READY, ...bare, system: ['ubuntu', 'debian'], rootMode: undefined }),
    ).toMatchInlineSnapshot(`
      [
        {
          "args": [],
          "script": 
      "set -e
      export DEBIAN_FRONTEND=noninteractive
      apt-get -q update
      for compose in docker-compose-v2 docker-compose-plugin docker-compose; do
        apt-cache show "$compose" >/dev/null 2>&1 && break
      done
      apt-get -q -y install docker.io "$compose"
      "
      ,
          "what": "install the Docker engine and Compose from the distribution's packages",
        },
        {
          "args": [],
          "script": 
      "if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then systemctl enable --now docker; else service docker start; fi || exit
      n=0
      until said=$(docker version 2>&1); do
        n=$((n + 1))
        [ $n -lt 60 ] || { echo "$said"; exit 1; }
        sleep 0.5
      done
      "
      ,
          "what": "start the Docker engine, now and whenever the host starts",
        },
        {
          "args": [
            "deploy",
            "docker",
          ],
          "script": "usermod -aG "$2" "$1"",
          "what": "let deploy use the Docker engine (group docker)",
        },
        {
          "args": [
            "/var/lib/stagecraft",
            "docker",
          ],
          "script": "install -d -m 2770 -g "$2" "$1"",
          "what": "make /var/lib/stagecraft, shared by the group docker",
        },
      ]
    `)
  })

  test('repairs a root folder that others cannot share', () => {
    expect(steps({ rootMode: '755 root' })).toEqual(['make /var/lib/stagecraft, shared by the group docker'])
  })

  test('does not install where it does not know how, and says what to do', () => {
    const bare = { hasEngine: false, runs: false, system: ['alpine'] }
    expect(() => steps(bare)).toThrow('Cannot install Docker on web-1: it is alpine, not Debian or Ubuntu')
  })

  test('does nothing for a user who may not become root, and lists what is missing', () => {
    const facts = { ...READY, isRoot: false, maySudo: false, inGroup: false, rootMode: undefined }
    requireRoot({ ...facts, maySudo: true }, planBootstrap(facts))
    requireRoot(facts, [])
    try {
      requireRoot(facts, planBootstrap(facts))
      throw new Error('it did not refuse')
    } catch (error) {
      expect(error).toMatchObject({
        kind: 'unreachable',
        message: 'Cannot make web-1 ready: deploy is not root there, and may not become root',
        detail:
          'missing: let deploy use the Docker engine (group docker)\nmissing: make /var/lib/stagecraft, shared by the group docker',
      })
    }
  })
})

test('the output', () => {
  const host = 'deploy@web-1'
  const missing = steps({ inGroup: false, rootMode: undefined })
  const lines = [...missing.map((what) => stepLine(host, what)), readyLine(host, missing.length, false)]
  expectGolden('commands/bootstrap.md', 'steps', lines.join('\n'))
  expectGolden('commands/bootstrap.md', 'nothing', readyLine(host, 0, false))
  expect(readyLine(host, 1, true)).toBe('deploy@web-1 is not ready yet: nothing was changed')
})
