import { prose, yamlKey } from './yaml-lines.ts'

const WHY =
  'Runs in the phase migrate_pre, before any new container starts. If it fails, the live release stays as it is. A rollback does not run it. See stagecraft help migrations.'

/** @returns `databases:` with the migration jobs; nothing if there are none */
export function databaseLines(jobs: readonly string[]): string[] {
  if (jobs.length === 0) return []
  const names = databaseNames(jobs)
  const lines = jobs.flatMap((job, at) => [
    `  ${yamlKey(names[at] ?? '')}:`,
    `    migrations: {engine: job, service: ${yamlKey(job)}}`,
  ])
  return ['databases:', ...prose(WHY).map((line) => `  ${line}`), ...lines]
}

/** @returns a name for the database of each job: `main`, or the jobs' own, if they are valid names of databases. */
function databaseNames(jobs: readonly string[]): string[] {
  if (jobs.length === 1) return ['main']
  const names = jobs.map((job) =>
    job
      .toLowerCase()
      .replaceAll('.', '-')
      .replace(/^[_-]+/, '')
      .slice(0, 63),
  )
  return new Set(names).size === jobs.length && !names.includes('') ? names : jobs.map((_, at) => `main-${at + 1}`)
}
