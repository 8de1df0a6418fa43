// Runs before new containers start, in each deploy: it must know what is done already.
import { pool, rows } from './db.js'

await rows('CREATE TABLE IF NOT EXISTS jobs (id serial PRIMARY KEY, done_at timestamptz, times int NOT NULL DEFAULT 0)')
await pool.end()
