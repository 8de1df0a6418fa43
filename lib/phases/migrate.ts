/** Migrations run here once databases can be configured. */
export async function migrate(): Promise<string> {
  return 'no databases are configured'
}

/** A rollback changes no database: what later releases did to it stays. */
export async function leaveDatabases(): Promise<string> {
  return 'databases are not rolled back'
}
