import type { Dialect } from './dialect.ts'
import { maskLiterals } from './masked.ts'

/**
 * What a statement does to the transaction that it runs in:
 * `atomic`: it can be undone with it · `alone`: it commits by itself, or refuses to run in one · `begin`, `commit`,
 * `rollback`: it controls it · `left out`: it is not run
 */
export type Kind = 'atomic' | 'alone' | 'begin' | 'commit' | 'rollback' | 'left out'

const ALONE_IN_POSTGRES =
  /^(create( unique)? index concurrently|drop index concurrently|reindex|vacuum|cluster|call|do|alter system|discard|(create|drop|alter) (database|tablespace|subscription)|alter table .* detach partition .* concurrently|checkpoint|load)\b/
const ALONE_IN_SQLITE = /^(pragma|vacuum|attach|detach)\b/
/** What MySQL can undo. Anything else commits, or may. */
const ATOMIC_IN_MYSQL =
  /^(select|insert|update|delete|replace|with|set|use|do|values|table|show|prepare|explain|deallocate|\(|handler)\b|^\(/
const REPEATABLE =
  /\bif (not )?exists\b|^create or replace\b|^(vacuum|analyze|optimize|repair|reindex|cluster|refresh|truncate|flush|pragma|checkpoint|discard)\b/
const SESSION = /^(set|use|prepare|pragma|attach)\b/

/** @returns the words of a statement in lower case, for the functions of this file; `/*!40101 … ` counts as what MySQL runs of it */
export function wordsOf(sql: string, dialect: Dialect): string {
  const [, within] = (dialect === 'mysql' && /^\/\*M?!\d*([\s\S]*)\*\/$/.exec(sql)) || []
  return maskLiterals((within ?? sql).slice(0, 1000), dialect).toLowerCase()
}

/** @param words of the statement: `wordsOf` */
export function kindOf(words: string, dialect: Dialect): Kind {
  if (/^(begin|start transaction)\b/.test(words) && !/^begin not atomic/.test(words)) return 'begin'
  if (/^(commit|end|prepare transaction)\b/.test(words) && !/^commit prepared/.test(words)) return 'commit'
  if (/^(rollback|abort)\b/.test(words) && !/^rollback (work |transaction )?to\b/.test(words)) return 'rollback'
  if (dialect === 'postgres') return ALONE_IN_POSTGRES.test(words) ? 'alone' : 'atomic'
  if (dialect === 'sqlite') return ALONE_IN_SQLITE.test(words) ? 'alone' : 'atomic'
  // mysqldump writes them. With its tables locked, the session could not write the history.
  if (/^(un)?lock tables?\b/.test(words)) return 'left out'
  return ATOMIC_IN_MYSQL.test(words) ? 'atomic' : 'alone'
}

/** Whether a statement may be run again when it is not known whether it was applied. */
export const isRepeatable = (words: string): boolean => REPEATABLE.test(words)

/** Whether it only changes the session: what a run that goes on in the middle of a file has to do first. */
export const isSessionSetting = (words: string): boolean =>
  SESSION.test(words) && !/^set (global|persist|password)\b/.test(words)
