import { SCRIPTS } from '../completion/scripts.ts'
import type { Table } from '../find-command.ts'
import { manPage } from '../man.ts'
import { type Lock, sbomOf } from './sbom.ts'

interface ReleaseSources {
  readonly commands: Table
  readonly lock: Lock
  /** contents of files of the repository */
  readonly changelog: string
  readonly schema: string
  readonly outputSchema: string
  readonly installer: string
  readonly license: string
  /** public key of minisign */
  readonly publicKey: string | undefined
  /** where releases are published */
  readonly releases: string | undefined
}

/** @returns all files of a release that are text, by name */
export async function releaseTexts(sources: ReleaseSources): Promise<Record<string, string>> {
  const { commands, lock, changelog, schema, outputSchema, installer, license, publicKey, releases } = sources
  return {
    'stagecraft.1': await manPage(commands, lock.version),
    'stagecraft.bash': SCRIPTS.bash,
    _stagecraft: SCRIPTS.zsh,
    'stagecraft.fish': SCRIPTS.fish,
    'stagecraft.schema.json': schema,
    'output.schema.json': outputSchema,
    'stagecraft.cdx.json': sbomOf(lock),
    'CHANGES.md': changesOf(changelog, lock.version),
    'install.sh': pinned(installer, { KEY: publicKey ?? '', RELEASES: releases ?? '' }),
    LICENSE: license,
  }
}

/** @returns the section of a version; before it has one, of what is not released yet */
export function changesOf(changelog: string, version: string): string {
  const sections = changelog.split(/^(?=## )/m).slice(1)
  const titleIs = (wanted: string) => (section: string) => section.split(/[\s[\]]+/)[1] === wanted
  const found = sections.find(titleIs(version)) ?? sections.find(titleIs('Unreleased'))
  if (found === undefined) throw new Error(`CHANGELOG.md has no section ${version} or Unreleased`)
  return `${found.trim()}\n`
}

/** @returns the script with these values in its empty settings. @throws if one of them is not there or needs quoting */
function pinned(script: string, settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings).reduce((text, [name, value]) => {
    if (!/^[\w:/.~%+=?&@-]*$/.test(value)) throw new Error(`Cannot write ${name} into install.sh: ${value}`)
    const changed = text.replace(new RegExp(`^${name}=''`, 'm'), () => `${name}='${value}'`)
    if (changed === text && value !== '') throw new Error(`install.sh has no line ${name}=''`)
    return changed
  }, script)
}
