// Signatures of minisign (https://jedisct1.github.io/minisign): Ed25519 over the file itself, the kind `Ed`, which openssl
// can verify too. The trusted comment is signed together with the signature.
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'

const KIND = Buffer.from('Ed')
const UNTRUSTED = 'untrusted comment: '
const TRUSTED = 'trusted comment: '
/** What stands before the 32 bytes of an Ed25519 key in DER (RFC 8410). */
const DER = Buffer.from('302a300506032b6570032100', 'hex')

/** @returns the public key in one line, as `minisign -P` takes it */
export function publicKeyOf(key: KeyObject): string {
  const bytes = rawPublicKey(key)
  return Buffer.concat([KIND, idOf(bytes), bytes]).toString('base64')
}

/** @param key private, Ed25519 @returns the content of a `.minisig` file */
export function signText(content: Uint8Array, key: KeyObject, comment: string): string {
  const signature = sign(null, content, key)
  const whole = sign(null, Buffer.concat([signature, Buffer.from(comment)]), key)
  const lines = [
    `${UNTRUSTED}signature of a release of Stagecraft`,
    Buffer.concat([KIND, idOf(rawPublicKey(key)), signature]).toString('base64'),
    `${TRUSTED}${comment}`,
    whole.toString('base64'),
  ]
  return `${lines.join('\n')}\n`
}

/** @returns why the signature is not that of the key for this content; undefined: it is */
export function signatureProblem(content: Uint8Array, signature: string, publicKey: string): string | undefined {
  const [untrusted = '', first = '', trusted = '', second = ''] = signature.split('\n')
  const [key, made, whole] = [publicKey, first, second].map((text) => Buffer.from(text, 'base64'))
  if (!key || !isPublicKey(publicKey)) return 'the public key is not a minisign key'
  if (!made || !whole || !untrusted.startsWith(UNTRUSTED) || !trusted.startsWith(TRUSTED) || made.length !== 74)
    return 'it is not a minisign signature'
  if (!made.subarray(0, 2).equals(KIND)) return 'its algorithm is not Ed'
  if (!made.subarray(2, 10).equals(key.subarray(2, 10))) return 'it was made with another key'
  const known = createPublicKey({ key: Buffer.concat([DER, key.subarray(10)]), format: 'der', type: 'spki' })
  const comment = Buffer.concat([made.subarray(10), Buffer.from(trusted.slice(TRUSTED.length))])
  const isRight = verify(null, content, known, made.subarray(10)) && verify(null, comment, known, whole)
  return isRight ? undefined : 'it is not the signature of this file'
}

export function isPublicKey(text: string): boolean {
  return /^RW[A-Za-z0-9+/]{54}$/.test(text)
}

function rawPublicKey(key: KeyObject): Buffer {
  return createPublicKey(key.export({ type: 'pkcs8', format: 'pem' }))
    .export({ type: 'spki', format: 'der' })
    .subarray(DER.length)
}

/** minisign chooses key ids at random: ours follow from the key. */
function idOf(publicKey: Uint8Array): Buffer {
  return createHash('sha256').update(publicKey).digest().subarray(0, 8)
}
