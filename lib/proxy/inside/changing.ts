import { childError, type Docker } from '../../docker/client.ts'
import type { Clock } from '../../system/clock.ts'
import { readProxyIfUp } from '../api.ts'
import { inProxy } from './run.ts'
import { PROXY_FOLDER } from './scripts.ts'

/** From now on the health of the host is 503. @param $1 seconds that this counts at most */
const CHANGING = `cd ${PROXY_FOLDER} && echo $(($(date +%s) + $1)) >.changing.$$ && mv .changing.$$ changing`

/** The proxy that is started again ends this too. */
const CHANGED = `rm -f ${PROXY_FOLDER}/changing`

/** Seconds that a proxy may take to be recreated: after that, the next command ends what a killed one has left. */
const LONGEST = 120

/**
 * Changes a proxy once balancers have noticed that the host gets no requests.
 * @returns the milliseconds that they have to notice; 0: none asks
 */
export async function afterNotice(docker: Docker, clock: Clock, change: () => Promise<void>): Promise<number> {
  const state = await readProxyIfUp(docker)
  const waits = Object.values(state?.projects ?? {}).flatMap((routes) =>
    routes.map((one) => one.host_health?.wait ?? 0),
  )
  const wait = Math.max(0, ...waits)
  if (wait > 0) {
    const seconds = String(Math.ceil(wait / 1000) + LONGEST)
    const result = await inProxy(docker, 'changing', CHANGING, [seconds], { changes: true })
    if (result.code !== 0) throw childError('tell balancers that the host is changed', result)
  }
  try {
    await clock.sleep(wait)
    await change()
  } finally {
    if (wait > 0) await inProxy(docker, 'changed', CHANGED, [], { changes: true })
  }
  return wait
}
