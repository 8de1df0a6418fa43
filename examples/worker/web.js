import { createServer } from 'node:http'
import { pool, rows } from './db.js'

const COUNTS = 'SELECT count(*) AS jobs, count(done_at) AS done, coalesce(max(times), 0) AS most FROM jobs'

/** POST /jobs puts a job into the queue; GET / counts them. */
async function answer({ method, url }) {
  if (url === '/up') return rows('SELECT 1 AS ok')
  return rows(method === 'POST' && url === '/jobs' ? 'INSERT INTO jobs DEFAULT VALUES RETURNING id' : COUNTS)
}

const server = createServer(async (request, response) => {
  try {
    response.end(`${JSON.stringify((await answer(request))[0])}\n`)
  } catch (error) {
    console.error(error)
    response.writeHead(503).end()
  }
})
server.listen(3000)
process.on('SIGTERM', () => server.close(() => pool.end()))
