import { KILLED, type Kill } from './kills.ts'
import { type Subject, tellFailures } from './subject.ts'

// Without -f only the main thread is traced: that is the one that writes; what docker does is its own.
const CALLS = 'rename,renameat,renameat2'
const strace = (call: number) => [
  ...['strace', '-qq', '-o', '/dev/null', '-e', `trace=${CALLS}`],
  ...['-e', `inject=${CALLS}:signal=KILL:when=${call}`],
]

/** No run writes as often: one that is still hit then would never end. */
const MOST_CALLS = 200

/**
 * `kill -9` before each rename of a deploy, or of a rollback, in turn: before each write of state, bundle and journal.
 * @param only which ones, the first is 1; default: all
 */
export async function renames(
  subject: Subject,
  kind: 'deploy' | 'rollback',
  only?: readonly number[],
): Promise<Kill[]> {
  const done: Kill[] = []
  for (let call = 1; call <= MOST_CALLS; call++) {
    if (only && call > Math.max(...only)) break
    if (only && !only.includes(call)) continue
    // A release killed after its switch is no target: a rollback needs one that completed before it.
    if (kind === 'rollback') await subject.advance()
    const version = subject.version('good', !subject.serving.extra)
    // A killed run always has something to create or to retire.
    const next = subject.version('good', kind === 'deploy' || !subject.serving.extra)
    const known = subject.known()
    const ran = await subject.start(kind === 'deploy' ? version : undefined, { wrap: strace(call) }).done
    if (ran.code === 0) break // it was over before
    const title = `${kind} ${version.name} killed at rename ${call}, then ${next.name}`
    const judged = await subject.judge(ran, known, next)
    const missed = ran.code === KILLED ? [] : [`it was to be killed, and ended with ${ran.code}`]
    const verdict = { ...judged, failures: [...missed, ...judged.failures] }
    tellFailures(title, verdict, ran)
    done.push({ title, ...verdict })
    if (verdict.failures.length > 0) await subject.reset()
  }
  return done
}
