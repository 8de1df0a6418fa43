import type { Release } from '../../lib/record/releases-file/format.ts'
import { printRelease } from '../../lib/record/releases-file/print.ts'

/** The text of a state file: an environment `prod` that has had that many completed releases, one a minute. */
export function historyOf(count: number): Buffer {
  const records = Array.from({ length: count }, (_, at) => printRelease(releaseAt(at)))
  return Buffer.from(`{\n  "releases": [\n    ${records.join(',\n    ')}\n  ]\n}`)
}

function releaseAt(at: number): Release {
  const timestamp = new Date(Date.UTC(2026, 0, 1) + at * 60_000).toISOString()
  const digits = timestamp.replace(/\D/g, '')
  const completed = 'completed'
  return {
    id: `rel-${digits.slice(0, 8)}-${digits.slice(8)}`,
    environment: 'prod',
    version: `v${at}`,
    commit_sha: '0123456789abcdef0123456789abcdef01234567',
    timestamp,
    phases: {
      build: completed,
      push: completed,
      migrate_pre: completed,
      rollout: completed,
      migrate_post: completed,
      finalize: completed,
    },
    previous_id: 'rel-20251231-235959999',
  }
}
