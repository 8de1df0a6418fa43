import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { exec } from '../../system/exec.ts'
import { StagecraftError } from '../../util/errors.ts'
import { command } from '../command.ts'
import { readBuilt } from '../distribution/built.ts'
import { isPublicKey } from '../distribution/minisign.ts'
import { isUrl, openSource } from '../distribution/release-source.ts'
import { install, readOffer, refuseOlder } from '../distribution/upgrade.ts'

export default command({
  name: 'upgrade',
  description:
    'Replace this program by the version that is published. Its signature is verified, and the old file is kept.',
  args: {
    from: {
      type: 'string',
      valueHint: 'url-or-folder',
      description: 'where the files of the release are',
      env: 'STAGECRAFT_RELEASES',
    },
    key: { type: 'string', valueHint: 'key', description: 'the public key of releases, instead of the one built in' },
    force: { type: 'boolean', description: 'install it even if it is older, or the same' },
    'dry-run': { type: 'boolean', description: 'say which version is published, and change nothing' },
  },
  examples: [
    ['stagecraft upgrade', 'to the newest version'],
    ['stagecraft upgrade --from ./stagecraft-0.2.0', 'from a folder with the files of a release'],
  ],
  exits: [
    [5, 'the signature or a checksum is wrong; it is older; the folder cannot be written; it does not run here'],
    [8, 'the release cannot be reached, or a file of it is missing'],
  ],
  async run({ from, key, force, 'dry-run': dryRun }, { report, directory }) {
    const { built, place, publicKey } = settingsOf(from, key)
    const installed = { ...built, file: realpathSync(process.execPath) }
    const source = openSource(isUrl(place) ? place : resolve(directory, place))
    const offer = await readOffer(source, publicKey)
    const versions = { from: built.version, to: offer.version }
    if (dryRun) {
      report.result('upgrade-offer', versions, () => [
        `stagecraft ${offer.version} is published; this is ${built.version}`,
      ])
      return 0
    }
    if (!force && offer.version === built.version) {
      report.result('upgraded', versions, () => [`stagecraft ${built.version} is what is published: nothing to do`])
      return 0
    }
    if (!force) refuseOlder(offer, installed)
    const old = await install(offer, installed, exec)
    report.result('upgraded', { ...versions, file: installed.file, old }, () =>
      upgradedLines(versions, installed.file, old),
    )
    return 0
  },
})

export function upgradedLines({ from, to }: { from: string; to: string }, file: string, old: string): string[] {
  return [`stagecraft ${to} is installed: ${file}`, `${from} is kept: ${old}`]
}

/** @throws usage (2) if it is not known what to replace, from where, or whom to trust */
function settingsOf(from: string | undefined, key: string | undefined) {
  const built = readBuilt()
  if (!built) throw usage('it runs from source', 'In the repository: git pull')
  const place = from ?? built.releases
  if (!place) throw usage('where releases are published is not known', 'Add --from <url-or-folder>')
  const publicKey = key ?? built.key
  if (!publicKey) throw usage('this binary was built without the key of releases', 'Add --key <key>')
  if (!isPublicKey(publicKey))
    throw usage('--key is not a minisign public key', 'Such a key begins with RW and has 56 characters')
  return { built, place, publicKey }
}

function usage(reason: string, hint: string): StagecraftError {
  return new StagecraftError('usage', `Cannot upgrade: ${reason}`, { hint })
}
