import { environmentArgument } from '../command.ts'

/** The flags of the commands that migrate, or show what would be migrated. */
export const migrateArgs = {
  env: environmentArgument,
  database: { type: 'string', valueHint: 'name', description: 'only this database (default: all of them)' },
  to: { type: 'string', valueHint: 'file', description: 'stop after this file (only with the engine raw)' },
} as const
