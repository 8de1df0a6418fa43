import { describe, expect, test } from 'bun:test'
import type { ComposeModel } from '../../lib/compose/model.ts'
import {
  namesOfModel,
  secretsInText,
  secretsOfFile,
  secretsOfModel,
  secretsOfVariable,
} from '../../lib/secrets/find.ts'
import { formsOf } from '../../lib/secrets/forms.ts'
import { createMask, createSecrets, MASK } from '../../lib/secrets/mask.ts'
import { secretPlaces, secretsAt } from '../../lib/secrets/places.ts'

const HEX = '3f2a9c8b7d6e5f4a3b2c1d0e9f8a7b6c'

describe('the value of a variable is secret', () => {
  test.each([
    ['DB_PASSWORD', 'correct-horse'],
    ['dbPassword', 'correct-horse'],
    ['MYSQL_PWD', 'hunter2'],
    ['KEY', 'old-key-0123456789'],
    ['SECRET_KEY_BASE', 'changeme'],
    ['API_TOKENS', 'one-two'],
    ['GCP_CREDENTIALS', '{"a":"longer"}'],
    ['RABBITMQ_ERLANG_COOKIE', 'monstercookie'],
    ['GH_TOKEN', '/9j4AAQSkZJRgABAQAAAQABAAD'],
    ['S3_ACCESS', HEX],
    ['LICENCE', 'AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY'],
    ['SESSION', '0b6e3a1e-8c5e-4d2b-9a53-1f0c2d3e4b5a'],
    ['STRIPE', 'sk_live_51H8abcDEFghiJKLmno'],
    ['DB_PASS', `it's "quoted" $here`],
  ])('%s=%s: all of it', (name, value) => {
    expect(secretsOfVariable(name, value)).toContain(value)
  })

  test.each([
    ['DATABASE_URL', 'postgres://app:correct-horse@db/app', 'correct-horse'],
    ['REDIS', 'redis://:s3cr3tpw@redis:6379/0', 's3cr3tpw'],
    ['SENTRY_DSN', `https://${HEX}@o1.ingest.example.com/1`, HEX],
    ['CONNECTION', 'Server=db;User=sa;Password=Str0ng!Pass;', 'Str0ng!Pass'],
    ['SETTINGS', '{"user":"x","password":"abcDEF123456"}', 'abcDEF123456'],
    ['OPTS', '-Ddb.password=hunter22 -Xmx1g', 'hunter22'],
  ])('%s=%s: that part of it', (name, value, secret) => {
    const found = secretsOfVariable(name, value)
    expect(found).toContain(secret)
    expect(found).not.toContain(value)
  })

  test.each([
    ['POSTGRES_USER', 'postgres'],
    ['POSTGRES_PASSWORD', 'postgres'],
    ['DB_PASSWORD', 'password'],
    ['MODE', 'production'],
    ['PWD', '/srv/app-of-somebody'],
    ['TOKEN_EXPIRY', '86400000'],
    ['JWT_SECRET_FILE', '/run/secrets/jwt'],
    ['TLS_KEY', '/etc/ssl/private/server.pem'],
    ['KEYCLOAK_URL', 'https://login.example.com/realms/shop'],
    ['SECRET_ENABLED', 'true'],
    ['GIT_SHA', '3f2a9c8b7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a'],
    ['IMAGE_TAG', `v1-${HEX}`],
    ['BUCKET', 'my-app-uploads-production-eu'],
    ['IMG', 'ghcr.io/immich-app/immich-server:release'],
    ['TZ', 'America/Argentina/Buenos_Aires'],
    ['SINCE', '2024-11-22T08:02:25.643Z'],
    ['JAVA', '-Xmx512m -Dcom.example.Foo=Bar'],
    ['MAIL', 'noreply@mail.example.com'],
  ])('but not %s=%s', (name, value) => {
    expect(secretsOfVariable(name, value)).toEqual([])
  })
})

test.each([
  ['redis-server --requirepass hunter2-x --port 6379', ['hunter2-x']],
  ['mysqladmin ping -uroot --password=abc12345 && echo', ['abc12345']],
  ['mysql -uroot -pabc12345 -e "select 1"', ['abc12345']],
  ['redis-cli -a abc12345 ping', ['abc12345']],
  ['curl -fu ana:x -u ana:abc12345 http://web/health', ['abc12345']],
  ['curl -H "Authorization: Bearer abcdefgh12345" http://web', ['abcdefgh12345']],
  ["psql password='with a space' x", ['with a space']],
  ['wget https://ana:abc12345@web/x', ['abc12345']],
  ['echo token=$(cat /run/secrets/token)', []],
  ['starting: token: invalid', ['invalid']],
  ['sleep 1d', []],
])('secretsInText(%j)', (text, expected) => {
  expect(secretsInText(text)).toEqual(expected)
})

const MODEL: ComposeModel = {
  name: 'ac-gitea-postgres',
  services: {
    'openworkflow-executor': {
      image: 'nginx:1',
      environment: {
        A_PASSWORD: 'env value',
        B: null,
        C: '',
        HOST: 'database',
        IMAGE: 'nginx:1',
        DB_PASSWORD: 'postgres',
      },
      build: { context: '/src', args: { NPM_TOKEN: 'argument', E: null } },
      command: ['serve', '--password', 'of-the-command'],
      healthcheck: { test: ['CMD-SHELL', 'curl -u a:of-the-check http://x'] },
      labels: { 'app.api.token': 'of-the-label', 'app.name': 'shop' },
      pre_start: [{ command: ['init', '--password', 'of-a-hook'], environment: { HOOK_TOKEN: 'variable of a hook' } }],
    },
    database: { command: ['sh', '-c', 'echo of-an-env-file'] },
  },
  secrets: { inline: { content: 'inline value' }, variable: { environment: 'V' }, missing: { file: '/no/such/file' } },
  configs: { app: { content: 'server:\n  password: of-the-config\n' }, whole: { environment: 'W' } },
}

test('secretsOfModel() is what variables, arguments, commands, checks, labels, secrets and configs hold', () => {
  expect(secretsOfModel(MODEL, { V: 'variable', W: 'whole config' }).toSorted()).toEqual([
    'argument',
    'env value',
    'inline value',
    'of-a-hook',
    'of-the-check',
    'of-the-command',
    'of-the-config',
    'of-the-label',
    'postgres',
    'variable',
    'variable of a hook',
    'whole config',
  ])
})

test('a bundle says where in its model a secret stands that only an env file knew, and not which one', () => {
  const bundle = secretPlaces(MODEL, createMask(['of-an-env-file', 'argument']))
  expect(bundle).toEqual({ secret_at: [{ path: ['services', 'database', 'command', '2'], from: 5, to: 19 }] })
  expect(secretsAt(MODEL, bundle.secret_at)).toEqual(['of-an-env-file'])
  expect(secretsAt({ ...MODEL, services: {} }, bundle.secret_at)).toEqual([])
  expect(secretsAt(MODEL, [{ path: ['constructor', 'name'], from: 0, to: 3 }])).toEqual([])
})

describe('names of the project are no secrets', () => {
  const names = namesOfModel(MODEL)
  const mask = createMask(
    ['postgres', 'workflow', 'database', 'nginx:1', 'openworkflow', HEX],
    [...names, `/srv/${HEX}`],
  )

  test.each(['Container ac-gitea-postgres-1 Started', 'openworkflow-executor: database is up', 'pulling nginx:1'])(
    '%j stays',
    (text) => {
      expect([mask(text), mask.ours(text)]).toEqual([text, text])
    },
  )

  test('but what looks random is one, also in a path', () => {
    expect(mask(`GET /hooks/${HEX}`)).toBe('GET /hooks/•••')
  })
})

test('a word that is a secret is hidden where others say it as a word, and never in our own sentences', () => {
  const mask = createMask(['changeme'])
  expect(mask('password changeme is wrong; changemes')).toBe('password ••• is wrong; changemes')
  expect(mask.ours('web: changeme its password')).toBe('web: changeme its password')
})

describe('the forms of a secret', () => {
  const value = `p@$$ "w'0rd\\&<9>\tüx/+`

  test('are found however they are printed', () => {
    const mask = createMask([value])
    const printed = [
      value,
      JSON.stringify(value),
      JSON.stringify(JSON.stringify(value)),
      value.replaceAll('$', '$$$$'),
      encodeURIComponent(value),
      encodeURIComponent(value).replaceAll('%20', '+').toLowerCase(),
      Buffer.from(value).toString('base64'),
      Buffer.from(`u:${value}`).toString('base64'),
      Buffer.from(`us:${value}`).toString('base64'),
      Buffer.from(value).toString('base64url'),
      Buffer.from(value).toString('hex'),
      `'${value.replaceAll("'", "'\\''")}'`,
      `\u001b[1m${value.slice(0, 5)}\u001b[0m${value.slice(5)}`,
    ]
    for (const text of printed) expect([text, mask(`say ${text} end`)]).toEqual([text, expect.stringContaining(MASK)])
  })

  test('are not many', () => {
    expect(formsOf(value).length).toBeLessThan(30)
    expect(formsOf('a'.repeat(9000))).toEqual([])
  })
})

test('of a key of several lines each line is hidden, in any form', () => {
  const lines = Array.from({ length: 20 }, (_, at) =>
    new Bun.CryptoHasher('sha512').update(`${at}`).digest('base64').slice(0, 64),
  )
  const key = `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`
  const mask = createMask(secretsOfFile(key))
  const printed = [
    key,
    JSON.stringify({ key }),
    ...lines.map((line) => `#9 1.2 ${line}`),
    lines.join(' '),
    lines.join('\\n'),
  ]
  const shown = printed.map(mask).join('\n')
  expect(lines.filter((line) => shown.includes(line.slice(10, 18)))).toEqual([])
})

/** The bounds that spec/core/secrets.md states. */
test('whatever is cut off, no six characters of a random secret are left at an edge, nor eight in the midst', () => {
  let seed = 7
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31
    return Math.floor((seed / 2 ** 31) * below)
  }
  const ALPHABETS = [
    '0123456789abcdef',
    'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
    '!#%&()*.:;?@^{}abcXYZ0189',
  ]
  for (let round = 0; round < 400; round++) {
    const letters = ALPHABETS[round % 3] ?? ''
    const make = (length: number) => Array.from({ length }, () => letters[random(letters.length)]).join('')
    const secrets = Array.from({ length: 3 }, () => make(20 + random(60)))
    const text = secrets
      .map((one) => `${['login ', 'x="', '>> '][random(3)]}${one}${[' ok', '"', '\n'][random(3)]}`)
      .join(' – ')
    const from = random(text.length)
    const shown = createMask(secrets)(text.slice(from, from + random(text.length)))
    const left = secrets.flatMap((secret) =>
      [...secret]
        .map((_, at) => secret.slice(at, at + 6))
        .filter((piece) => piece.length === 6 && shown.includes(piece)),
    )
    expect([round, shown, left]).toEqual([round, shown, []])
  }
})

test('a set grows, and hides at once what it is given', () => {
  const secrets = createSecrets()
  expect([secrets.isEmpty, secrets.mask('is hunter22')]).toEqual([true, 'is hunter22'])
  secrets.add(['hunter22'])
  expect(secrets.mask('is hunter22')).toBe('is •••')
  secrets.addNames(['hunter22'])
  expect(secrets.mask('is hunter22')).toBe('is hunter22')
})
