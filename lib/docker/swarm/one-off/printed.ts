import { type Clock, listen } from '../../../system/clock.ts'
import type { Stream } from '../../../system/exec.ts'
import type { Docker } from '../../client.ts'
import { followOneOff, readOneOff } from './service.ts'

/** What a one-off job prints, from its beginning, whatever node it runs on. */
interface Printed {
  /**
   * Ends the reading: the job has ended.
   * @returns the last of what it printed, masked, in the order in which its lines came
   */
  end(task: string | undefined): Promise<string>
}

interface Reader {
  readonly docker: Docker
  readonly clock: Clock
  /** gets each line once, masked, in the order in which they come */
  readonly onLine: (line: string, stream: Stream) => void
  /** bytes of the output that are kept: the last ones */
  readonly kept: number
  /** milliseconds that the job may take at most */
  readonly timeout: number
}

/** Milliseconds until a lost connection to the logs is made again, and between tries to read the last of them. */
const PAUSE = 500
/** Milliseconds without a line after which a reading is given up. */
const SILENCE = 10_000
/** How often the last lines are read, if the node does not answer. */
const TRIES = 6

/** Reads what a one-off job prints. A reader that is lost begins again: what was read before is not printed twice. */
export function openPrinted(name: string, { docker, clock, onLine, kept, timeout }: Reader): Printed {
  const counts = new Map<string, number>()
  const lines: string[] = []
  let size = 0
  const add = (line: string, stream: Stream) => {
    const key = `${stream} ${line}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
    lines.push(line)
    size += line.length + 1
    while (size > kept && lines.length > 1) size -= (lines.shift()?.length ?? 0) + 1
    onLine(line, stream)
  }
  /** Each reader gets all lines from the first one on. */
  const newOnly = () => {
    const known = new Map(counts)
    return (line: string, stream: Stream) => {
      const key = `${stream} ${line}`
      const left = known.get(key) ?? 0
      if (left > 0) known.set(key, left - 1)
      else add(line, stream)
    }
  }
  const over = new AbortController()
  const follow = async () => {
    while (!over.signal.aborted) {
      const how = { onLine: newOnly(), until: over.signal, limit: 4096, timeout }
      await followOneOff(docker, name, how).catch(() => undefined)
      if (!over.signal.aborted) await clock.sleep(PAUSE)
    }
  }
  const following = follow()
  const isReadToItsEnd = async (task: string) => {
    const silent = new AbortController()
    const listening = listen(clock, SILENCE)
    const onNew = newOnly()
    const onLine = (line: string, stream: Stream) => {
      listening.heard()
      onNew(line, stream)
    }
    const reading = readOneOff(docker, task, { onLine, limit: kept, timeout, until: silent.signal }).catch(
      () => undefined,
    )
    const read = await listening.untilSilent(reading)
    silent.abort()
    await reading
    return read !== undefined
  }
  return {
    async end(task) {
      over.abort()
      await following
      for (let tries = 0; task !== undefined && tries < TRIES; tries++) {
        if (await isReadToItsEnd(task)) break
        await clock.sleep(PAUSE)
      }
      return lines.join('\n')
    },
  }
}
