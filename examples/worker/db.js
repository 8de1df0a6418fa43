import pg from 'pg'

export const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
export const rows = async (sql) => (await pool.query(sql)).rows
