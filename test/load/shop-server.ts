// Each version of the shop knows another shape of its table, and each request writes and reads it: an expand, a migrate and a
// contract release (spec/guides/migrations.md) under load. Runs in a container.
const { VERSION = 'v1', SHOP_URL = '' } = process.env
const sql = new Bun.SQL(SHOP_URL, { max: 8 })

const SHAPES: Readonly<Record<string, readonly [write: string, read: string]>> = {
  v1: ["INSERT INTO users (name) VALUES ('a') RETURNING id", 'SELECT name AS shown FROM users WHERE id = $1'],
  v2: [
    "INSERT INTO users (name, full_name) VALUES ('b', 'b') RETURNING id",
    'SELECT coalesce(full_name, name) AS shown FROM users WHERE id = $1',
  ],
  v3: ["INSERT INTO users (full_name) VALUES ('c') RETURNING id", 'SELECT full_name AS shown FROM users WHERE id = $1'],
}
const [write = '', read = ''] = SHAPES[VERSION] ?? []

async function answer(): Promise<Response> {
  const [{ id }] = await sql.unsafe(write)
  const [{ shown }] = await sql.unsafe(read, [id])
  return typeof shown === 'string' ? new Response(VERSION) : new Response('nothing to show', { status: 500 })
}

Bun.serve({
  port: 3000,
  fetch: async (request) => {
    await request.text()
    const work =
      new URL(request.url).pathname === '/up' ? sql.unsafe('SELECT 1').then(() => new Response('up')) : answer()
    return work.catch((error: unknown) => new Response(String(error), { status: 500 }))
  },
})
process.on('SIGTERM', () => process.exit(0))
