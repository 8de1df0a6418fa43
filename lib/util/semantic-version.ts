/** https://semver.org, without build metadata. */
export const SEMANTIC_VERSION =
  /^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][\dA-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][\dA-Za-z-]*))*))?$/

/** Compares two semantic versions by precedence. @returns less than 0 if `a` is older, 0 if neither is, more if `b` is */
export function compareVersions(a: string, b: string): number {
  const [one, other] = [partsOf(a), partsOf(b)]
  for (const at of [0, 1, 2]) {
    const difference = Number(one.core[at]) - Number(other.core[at])
    if (difference !== 0) return difference
  }
  // A version is newer than its pre-releases.
  if (one.early.length === 0 || other.early.length === 0) return other.early.length - one.early.length
  for (let at = 0; at < Math.min(one.early.length, other.early.length); at++) {
    const difference = compareWords(one.early[at] ?? '', other.early[at] ?? '')
    if (difference !== 0) return difference
  }
  return one.early.length - other.early.length
}

function partsOf(version: string): { core: string[]; early: string[] } {
  const [, major = '0', minor = '0', patch = '0', early] = SEMANTIC_VERSION.exec(version) ?? []
  return { core: [major, minor, patch], early: early?.split('.') ?? [] }
}

/** Numbers are compared as numbers, and come before words. */
function compareWords(a: string, b: string): number {
  const [isNumber, isOtherNumber] = [/^\d+$/.test(a), /^\d+$/.test(b)]
  if (isNumber && isOtherNumber) return Number(a) - Number(b)
  if (isNumber !== isOtherNumber) return isNumber ? -1 : 1
  return a < b ? -1 : a > b ? 1 : 0
}
