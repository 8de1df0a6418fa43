import * as v from 'valibot'
import { DURATION, parseDuration } from './duration.ts'

const MAX_DURATION = 24 * 3_600_000
const CONTROL = /\p{Cc}/u
const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/
const SERVICE = /^[a-zA-Z0-9._-]+$/
// Host, optional port, and path components as the distribution reference grammar has them.
const REGISTRY = /^[a-zA-Z0-9]+([.-]+[a-zA-Z0-9]+)*(:\d{1,5})?(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/

const name = (what: string) =>
  v.pipe(
    v.string(`must be ${what}`),
    v.regex(NAME, `must be ${what} (lower-case letters, digits, - and _; at most 63)`),
  )

const path = v.pipe(
  v.string('must be a path'),
  v.minLength(1, 'must not be empty'),
  v.check((text) => !CONTROL.test(text), 'must be a path without control characters'),
)

/** One path or a list of them; always a list afterwards. */
const paths = v.pipe(
  v.union([path, v.array(path, 'must be a list of paths')], 'must be a path or a list of paths'),
  v.transform((value) => (typeof value === 'string' ? [value] : value)),
)

const duration = (smallest: number) =>
  v.pipe(
    v.string('must be a duration such as 500ms, 60s, 5m or 1h'),
    v.regex(DURATION, 'must be a duration such as 500ms, 60s, 5m or 1h'),
    v.transform((text) => parseDuration(text) ?? 0),
    v.minValue(smallest, 'must be more than zero'),
    v.maxValue(MAX_DURATION, 'must be at most 24h'),
  )

/** In YAML an empty value is null: `prod:` alone is an environment with nothing to say. */
const orEmpty = <T extends v.GenericSchema<object>>(schema: T) => v.nullable(schema)

const strategies = ['recreate', 'hold'] as const

const rollout = v.strictObject(
  {
    strategy: v.exactOptional(v.picklist(strategies, 'must be recreate or hold')),
    health_timeout: v.exactOptional(duration(1)),
    min_ready: v.exactOptional(duration(0)),
  },
  'must be a mapping',
)

const service = v.strictObject(
  {
    job: v.exactOptional(v.boolean('must be true or false')),
    rollout: v.exactOptional(orEmpty(rollout)),
  },
  'must be a mapping',
)

const environment = v.strictObject(
  {
    env_file: v.exactOptional(paths),
    compose_project: v.exactOptional(name('a Compose project name')),
    data: v.exactOptional(paths),
    keep: v.exactOptional(
      v.pipe(
        v.number('must be a whole number from 0 to 1000'),
        v.integer('must be a whole number from 0 to 1000'),
        v.minValue(0, 'must be a whole number from 0 to 1000'),
        v.maxValue(1000, 'must be a whole number from 0 to 1000'),
      ),
    ),
    services: v.exactOptional(
      orEmpty(
        v.record(
          v.pipe(v.string(), v.regex(SERVICE, 'must be the name of a service')),
          orEmpty(service),
          'must be a mapping of services',
        ),
      ),
    ),
  },
  'must be a mapping',
)

const environmentName = v.pipe(
  v.string(),
  v.regex(NAME, 'must be an environment name (lower-case letters, digits, - and _; at most 63)'),
)

/** The whole file, without the top-level `x-*` keys. */
export const configSchema = v.strictObject(
  {
    project: v.exactOptional(
      orEmpty(
        v.strictObject(
          {
            name: v.exactOptional(name('a project name')),
            registry: v.exactOptional(
              v.pipe(
                v.string('must be a registry such as ghcr.io/acme'),
                v.regex(REGISTRY, 'must be a registry such as ghcr.io/acme, without a scheme'),
              ),
            ),
          },
          'must be a mapping',
        ),
      ),
    ),
    compose: v.exactOptional(paths),
    environments: v.exactOptional(
      v.pipe(
        v.record(environmentName, orEmpty(environment), 'must be a mapping of environments'),
        v.minEntries(1, 'must name at least one environment'),
      ),
    ),
  },
  'must be a mapping',
)

export type ParsedConfig = v.InferOutput<typeof configSchema>
