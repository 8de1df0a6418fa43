/** Migrations run here once databases can be configured. */
export async function migrate(): Promise<string> {
  return 'no databases are configured'
}
