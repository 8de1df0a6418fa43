import { describe, expect, test } from 'bun:test'
import { evidenceIn } from '../../lib/cli/init/evidence.ts'
import { configTemplate } from '../../lib/cli/init/template/config-file.ts'
import type { ComposeModel, Service } from '../../lib/compose/model.ts'
import { parseConfig } from '../../lib/config/parse.ts'
import { templateInput } from '../support/init.ts'

/** `web` waits for these services. */
function model(jobs: Readonly<Record<string, Service>>, condition = 'service_completed_successfully'): ComposeModel {
  const depends_on = Object.fromEntries(Object.keys(jobs).map((name) => [name, { condition }]))
  return { name: 'shop', services: { web: { image: 'web', depends_on }, ...jobs } } as ComposeModel // the condition is a text
}

const found = (...args: Parameters<typeof model>) => evidenceIn(model(...args), '/srv/shop').migrations
const words = (text: string): Service => ({ image: 'web', command: text.split(' ') })

describe('a job that others wait for migrates a database', () => {
  test.each(['migrate', 'migrations', 'db-migrate', 'dbmigrate', 'web_migration', 'migrate-2', 'app.migrator'])(
    'by its name: %s',
    (name) => {
      expect(found({ [name]: { image: 'web' } })).toEqual([name])
    },
  )

  test.each([
    'migrate/migrate:v4.18',
    'flyway/flyway:11',
    'liquibase/liquibase',
    'ghcr.io/amacneil/dbmate:2',
    'ghcr.io/acme/shop-migrations:1.2',
  ])('by its image: %s', (image) => {
    expect(found({ setup: { image } })).toEqual(['setup'])
  })

  test.each([
    'npx prisma migrate deploy',
    'npx prisma db push',
    'npx knex migrate:latest',
    'npx drizzle-kit migrate',
    'npx drizzle-kit push',
    'npx typeorm migration:run -d dist/data-source.js',
    'npx sequelize-cli db:migrate',
    'npm run migrate',
    'alembic -c alembic.ini upgrade head',
    'flask --app shop db upgrade',
    'python manage.py migrate --noinput',
    'bin/rails db:migrate',
    'bin/rails db:prepare',
    'bundle exec rake db:migrate',
    'php artisan migrate --force',
    'bin/console doctrine:migrations:migrate -n',
    'mix ecto.migrate',
    'bin/shop eval Shop.Release.migrate',
    'sqlx migrate run',
    'diesel migration run',
    'goose -dir db postgres up',
    'dbmate up',
    'flyway migrate',
    'liquibase update',
    'dotnet ef database update',
    'atlas schema apply --auto-approve',
    './migrate.sh',
  ])('by its command: %s', (command) => {
    expect(found({ setup: words(command) })).toEqual(['setup'])
    const script = ['sh', '-c', `until nc -z db 5432; do sleep 1; done; ${command}`]
    expect(found({ setup: { image: 'web', command: script } })).toEqual(['setup'])
    const [program = '', ...rest] = command.split(' ')
    expect(found({ setup: { image: 'web', entrypoint: [program], command: rest } })).toEqual(['setup'])
  })

  test.each<[string, Service]>([
    ['assets', words('cp -r /app/public /assets')],
    ['setup', words('mc mb local/uploads')],
    ['seed', words('bin/rails db:seed')],
    ['immigration', words('bin/immigration-service')],
    ['upgrade', words('apt-get upgrade')],
    ['certs', { image: 'elasticsearch:8', entrypoint: ['bash'], command: ['-c', 'bin/elasticsearch-certutil up'] }],
    ['topics', { image: 'cp-kafka' }],
  ])('and not: %s', (name, service) => {
    expect(found({ [name]: service })).toEqual([])
  })

  test('only if somebody waits until it has completed', () => {
    expect(found({ migrate: words('bin/rails db:migrate') }, 'service_started')).toEqual([])
    expect(evidenceIn({ name: 'shop', services: { migrate: { image: 'web' } } }, '/srv/shop').migrations).toEqual([])
  })
})

describe('a service that no other waits for migrates a database', () => {
  const alone = (name: string, service: Service, others = {}) =>
    evidenceIn({ name: 'shop', services: { [name]: service, web: { image: 'web', ...others } } }, '/srv/shop')
      .migrations

  test('if its name or image says so, and its command', () => {
    expect(alone('flyway', { image: 'flyway/flyway:11', command: ['migrate'] })).toEqual(['flyway'])
    expect(alone('dbmate', { image: 'amacneil/dbmate', command: ['--wait', 'up'] })).toEqual(['dbmate'])
    expect(alone('migrate', words('bin/rails db:migrate'))).toEqual(['migrate'])
    expect(alone('migrate', { ...words('bin/rails db:migrate'), restart: 'on-failure:3' })).toEqual(['migrate'])
  })

  test('and not if it stays up, or if its name or its command alone says so', () => {
    const command = words('bin/rails db:migrate')
    expect(alone('setup', command)).toEqual([])
    expect(alone('migrate', { image: 'web' })).toEqual([])
    expect(alone('flyway', { image: 'flyway/flyway', command: ['info'] })).toEqual([])
    expect(alone('migrate', { ...command, restart: 'always' })).toEqual([])
    expect(alone('migrate', { ...command, deploy: { restart_policy: { condition: 'any' } } })).toEqual([])
    expect(alone('migrate', { ...command, ports: [{ target: 80 }] })).toEqual([])
    expect(alone('migrate', command, { depends_on: { migrate: { condition: 'service_started' } } })).toEqual([])
  })
})

describe('configTemplate()', () => {
  const written = (...migrations: string[]) =>
    parseConfig(configTemplate(templateInput({ migrations }))).environments['local']
  const services = (...jobs: string[]) =>
    Object.entries(written(...jobs)?.databases ?? {}).map(([name, { migrations }]) => [
      name,
      'service' in migrations && migrations.service,
    ])

  test('has the job that migrates, as a database that is called main', () => {
    expect(written('migrate')?.databases).toEqual({
      main: { migrations: { engine: 'job', service: 'migrate', strategy: 'pre_deploy', timeout: 600_000 } },
    })
    expect(written()?.databases).toBeUndefined()
  })

  test('calls the databases of several jobs like the jobs, where that is possible', () => {
    expect(services('Auth.migrate', 'on', '1e3', '_x')).toEqual([
      ['1e3', '1e3'],
      ['auth-migrate', 'Auth.migrate'],
      ['on', 'on'],
      ['x', '_x'],
    ])
    expect(services('a.b', 'a-b')).toEqual([
      ['main-1', 'a.b'],
      ['main-2', 'a-b'],
    ])
  })
})
