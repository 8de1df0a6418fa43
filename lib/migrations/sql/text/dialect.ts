/** The three kinds of databases. MariaDB is `mysql`. */
export type Dialect = 'postgres' | 'mysql' | 'sqlite'

/** @returns an expression with this text, which holds whatever a file has set for how quotes and backslashes are read */
export function textLiteral(dialect: Dialect, text: string): string {
  const hex = Buffer.from(text).toString('hex')
  if (dialect === 'postgres') return `convert_from(decode('${hex}', 'hex'), 'UTF8')`
  return dialect === 'mysql' ? `CONVERT(x'${hex}' USING utf8mb4)` : `CAST(x'${hex}' AS TEXT)`
}

/** @returns the name of a table, column or schema, quoted */
export function identifier(dialect: Dialect, name: string): string {
  return dialect === 'mysql' ? `\`${name.replaceAll('`', '``')}\`` : `"${name.replaceAll('"', '""')}"`
}
