import { describe, expect, test } from 'bun:test'
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { isPublicKey, publicKeyOf, signatureProblem, signText } from '../../../lib/cli/distribution/minisign.ts'
import { scratch } from '../../support/command-line.ts'

// The secret key of RFC 8032, 7.1, test 1.
const SEED = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60'
const PUBLIC = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'
const key = createPrivateKey({
  key: Buffer.from(`302e020100300506032b657004220420${SEED}`, 'hex'),
  format: 'der',
  type: 'pkcs8',
})
const content = Buffer.from('0123  stagecraft-linux-x64\n')
const signature = signText(content, key, 'stagecraft 1.2.3')

describe('a signature of minisign', () => {
  test('is made with the key, the same each time, and verified', () => {
    expect(Buffer.from(publicKeyOf(key), 'base64').subarray(10).toString('hex')).toBe(PUBLIC)
    expect(isPublicKey(publicKeyOf(key))).toBe(true)
    expect(signText(content, key, 'stagecraft 1.2.3')).toBe(signature)
    expect(signatureProblem(content, signature, publicKeyOf(key))).toBeUndefined()
  })

  test('is not verified for another content, comment, key or kind', () => {
    const problem = (changed: Partial<{ content: string; signature: string; key: string }>) =>
      signatureProblem(
        changed.content === undefined ? content : Buffer.from(changed.content),
        changed.signature ?? signature,
        changed.key ?? publicKeyOf(key),
      )
    const other = generateKeyPairSync('ed25519').privateKey
    const wrong = 'it is not the signature of this file'
    expect(problem({ content: '0124  stagecraft-linux-x64\n' })).toBe(wrong)
    expect(problem({ signature: signature.replace('1.2.3', '1.2.4') })).toBe(wrong)
    expect(problem({ key: publicKeyOf(other) })).toBe('it was made with another key')
    const forged = Buffer.from(signText(content, other, 'stagecraft 1.2.3').split('\n')[1] ?? '', 'base64')
    forged.set(Buffer.from(publicKeyOf(key), 'base64').subarray(2, 10), 2)
    expect(problem({ signature: signature.replace(/^RW.*$/m, forged.toString('base64')) })).toBe(wrong)
    expect(problem({ signature: signature.replace(/^RW/m, 'RU') })).toBe('its algorithm is not Ed')
    for (const text of ['', 'x', signature.split('\n').slice(0, 2).join('\n'), '<html>404</html>'])
      expect(problem({ signature: text })).toBe('it is not a minisign signature')
    expect(problem({ key: 'x' })).toBe('the public key is not a minisign key')
  })

  test('is verified by minisign, if it is here', () => {
    if (!Bun.which('minisign')) return
    const { path, remove } = scratch({ file: content.toString(), 'file.minisig': signature })
    const argv = ['minisign', '-V', '-P', publicKeyOf(key), '-m', join(path, 'file')]
    expect(Bun.spawnSync(argv).exitCode).toBe(0)
    remove()
  })
})
