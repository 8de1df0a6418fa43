import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

const NEXT = 'SELECT id FROM jobs WHERE done_at IS NULL ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1'
const DONE = 'UPDATE jobs SET done_at = now(), times = times + 1 WHERE id = $1'

const client = new pg.Client({ connectionString: process.env.DATABASE_URL })
await client.connect()
let ending = false
process.on('SIGTERM', () => {
  ending = true // after the job that has begun
})
while (!ending) {
  // Two workers never take the same job, and a worker that is killed loses none: its transaction is undone.
  await client.query('BEGIN')
  const [job] = (await client.query(NEXT)).rows
  if (job) await work(job)
  await client.query('COMMIT')
  if (!job) await sleep(200)
}
await client.end()

async function work({ id }) {
  await sleep(100) // the work
  await client.query(DONE, [id])
  console.log(`job ${id} is done`)
}
