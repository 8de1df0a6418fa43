import type { ComposeModel, Service } from '../../compose/model.ts'
import { imageName } from './known-images.ts'

/**
 * Jobs that others wait for migrate by their name, image or command. If nobody waits, their name or image must say so, and their
 * command too.
 * @returns the jobs that migrate a database, in name order
 */
export function migrationJobs(model: ComposeModel): string[] {
  const names = Object.keys(model.services).toSorted()
  return names.filter((name) => {
    const service = model.services[name] ?? {}
    const [isCalledSo, runsIt] = [hasName(name, service), hasCommand(service)]
    return isJob(name, model) ? isCalledSo || runsIt : isCalledSo && runsIt && isAlone(name, model)
  })
}

/** @returns whether a service may end, and nobody needs it to run */
function isAlone(name: string, { services }: ComposeModel): boolean {
  const { restart = 'no', ports = [], deploy } = services[name] ?? {}
  const mayEnd = /^(no|on-failure)/.test(String(restart)) && deploy?.['restart_policy'] === undefined
  return mayEnd && ports.length === 0 && !Object.values(services).some((other) => name in (other.depends_on ?? {}))
}

/** @returns whether another service waits until this one has completed */
export function isJob(name: string, { services }: ComposeModel): boolean {
  return Object.values(services).some(
    ({ depends_on: on }) => on?.[name]?.condition === 'service_completed_successfully',
  )
}

function hasName(name: string, { image }: Service): boolean {
  return NAME.test(name) || TOOL.test(imageName(image)) || IMAGE.test(imageName(image))
}

/** A tool in an image of its own is often not named in the command. */
function hasCommand({ image, entrypoint, command }: Service): boolean {
  const words = [...wordsOf(entrypoint), ...wordsOf(command)]
  const tool = TOOL.test(imageName(image)) && words.length > 0 ? [imageName(image)] : []
  return COMMANDS.some((one) => one.test([...tool, ...words].join(' ')))
}

const NAME = /(^|[-_.]|db)migrat(e|es|ion|ions|or)([-_.]|\d|$)/i
const TOOL = /^(migrate|flyway|liquibase|dbmate|goose|goose-docker|sqitch)$/
const IMAGE = /^.*[-_]migrat(e|ion|ions|or)$/

/**
 * `migrate` as a word is enough in the command of such a job: manage.py migrate, prisma migrate deploy, artisan migrate,
 * rake db:migrate, knex migrate:latest, typeorm migration:run, sqlx migrate run, mix ecto.migrate, npm run migrate.
 */
const COMMANDS = [
  /(^|[^a-z])migrat(e|ion|ions)([^a-z]|$)/i,
  /\balembic\b.*\bupgrade\b/,
  /\b(flask|aerich)\b.*\bupgrade\b/,
  /\bliquibase\b.*\bupdate\b/,
  /\b(goose|dbmate)\b.*\bup\b/,
  /\b(drizzle-kit|prisma db)\b.*\bpush\b/,
  /\b(rails|rake)\b.*\bdb:prepare\b/,
  /\bef database update\b/,
  /\batlas\b.*\bschema apply\b/,
]

/** `docker compose config` prints a command as a list of words; `sh -c` has a script as one of them. */
function wordsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : typeof value === 'string' ? [value] : []
}
