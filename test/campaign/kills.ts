import type { Engine, Ran } from '../support/engine.ts'
import { BAD_FATES, type Fate } from './app.ts'
import { type Load, startLoad } from './load.ts'
import { killNow, programOf } from './processes.ts'
import type { Subject, Verdict } from './subject.ts'
import { tellFailures } from './subject.ts'

/** One kill and its result. */
export interface Kill extends Verdict {
  readonly title: string
}

/** Milliseconds that a run of each kind took last, from its first moment to its end. */
type Learned = Map<Fate | 'rollback', number>

/**
 * `kill -9` of a deploy or rollback at a random instant, as often as asked, under load.
 * @param roll decides everything but the speed of the machine
 */
export async function kills(
  subject: Subject,
  count: number,
  roll: (sides: number) => number,
  seed: string,
): Promise<{ done: Kill[]; load: Load }> {
  const learned: Learned = new Map([['good', await subject.begin()]])
  const load = startLoad(subject.engine, subject.port)
  const done: Kill[] = []
  try {
    for (let round = 1; round <= count; round++) {
      const kill = await oneKill(subject, `seed ${seed}, kill ${round}`, roll, learned)
      if (kill.failures.length > 0) await load.without(() => subject.reset())
      done.push(kill)
    }
  } finally {
    await load.stop()
  }
  return { done, load: await load.stop() }
}

async function oneKill(
  subject: Subject,
  name: string,
  roll: (sides: number) => number,
  learned: Learned,
): Promise<Kill> {
  const fate = roll(2) === 0 ? 'good' : (BAD_FATES[roll(BAD_FATES.length)] ?? 'good')
  const kind = roll(5) === 0 ? 'rollback' : fate
  const version = subject.version(fate, roll(2) === 0)
  const how = roll(2) === 0 ? 'alone' : 'group'
  const fraction = roll(10_000) / 10_000
  const next = subject.version('good', roll(2) === 0)
  const known = subject.known()
  const began = performance.now()
  const running = subject.start(kind === 'rollback' ? undefined : version)
  const watch = subject.watch()
  const limit = fraction * (learned.get(kind) ?? learned.get('good') ?? 5000)
  const ran = await killAfter(subject.engine, running, limit, how)
  watch.stop()
  if (ran.code !== KILLED) learned.set(kind, performance.now() - began)
  const title = `${name}: ${kind} ${version.name} killed ${how} after ${limit.toFixed(0)} ms, then ${next.name}`
  const verdict = await subject.judge(ran, known, next)
  tellFailures(title, verdict, ran)
  return { title, ...verdict }
}

export const KILLED = 128 + 9

/** Kills a run once it has run for so long. @returns how it ended */
export async function killAfter(
  engine: Engine,
  { pid, done }: { pid: number; done: Promise<Ran> },
  limit: number,
  how: 'alone' | 'group',
) {
  const ended = await Promise.race([done.then(() => true), Bun.sleep(limit).then(() => false)])
  if (!ended) {
    const binary = engine.binary()
    for (let tries = 0; tries < 100; tries++) {
      const program = programOf(pid, binary)
      if (program !== undefined && killNow(program, how)) break
      await Bun.sleep(5) // it has not begun yet
    }
  }
  // Processes that a killed run has started may keep its output open until they end.
  return done
}
