import { createServer } from 'node:http'
import pg from 'pg'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
const rows = async (sql) => (await pool.query(sql)).rows

const server = createServer(async (request, response) => {
  try {
    if (request.url === '/up') await rows('SELECT 1')
    else response.setHeader('content-type', 'application/json')
    response.end(request.url === '/up' ? 'ok\n' : JSON.stringify(await rows('SELECT id, text FROM notes ORDER BY id')))
  } catch (error) {
    console.error(error)
    response.writeHead(503).end()
  }
})
server.listen(3000)
// Requests that have begun are answered before the process ends.
process.on('SIGTERM', () => server.close(() => pool.end()))
