import type { ComposeModel } from '../compose/model.ts'
import { StagecraftError } from '../util/errors.ts'
import type { Image } from './client.ts'

/** Other names of architectures, from containerd (platforms/database.go). */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  i386: '386',
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  armhf: 'arm/v7',
  armel: 'arm/v6',
  arm: 'arm/v7',
  'arm/7': 'arm/v7',
  'arm/6': 'arm/v6',
  'arm/5': 'arm/v5',
  'amd64/v1': 'amd64',
  'arm64/8': 'arm64',
  'arm64/v8': 'arm64',
}

/** @returns one name for the same platform: `linux/arm64` for `arm64`, `aarch64`, `linux/arm64/v8` */
export function platformName(text: string): string {
  const [first = '', ...rest] = text.toLowerCase().split('/')
  const hasSystem = ['linux', 'windows', 'freebsd', 'darwin', 'wasi', 'macos'].includes(first)
  const [system, ...machine] = hasSystem ? [first, ...rest] : ['linux', first, ...rest]
  const architecture = machine.join('/')
  if (architecture === '') return system
  return `${system}/${ARCHITECTURES[architecture] ?? architecture}`
}

/** @returns whether an image is for a service's `platform:`, which may be a system without an architecture */
export function isForPlatform(image: Image, platform: string | undefined): boolean {
  if (platform === undefined) return true
  const wanted = platformName(platform)
  return wanted.includes('/') ? platformName(image.platform) === wanted : image.platform.startsWith(`${wanted}/`)
}

/**
 * @param names of the services' images
 * @returns the requested platform of each image, by its name; without one, the engine chooses
 * @throws config (3) if two services want the same image for different platforms: an engine keeps one image per name
 */
export function platformsOf(model: ComposeModel, names: ReadonlyMap<string, string>): Map<string, string> {
  const asked = new Map<string, { readonly service: string; readonly platform: string }>()
  for (const [service, name] of names) {
    const platform = model.services[service]?.platform
    if (platform === undefined || platform === '') continue
    const other = asked.get(name)
    if (other !== undefined && platformName(other.platform) !== platformName(platform))
      throw twoPlatforms(name, [other, { service, platform }])
    asked.set(name, { service, platform })
  }
  return new Map([...asked].map(([name, { platform }]) => [name, platform]))
}

/** @returns the images without those for another platform than requested: they are pulled, as Compose does. */
export function forPlatforms(
  images: ReadonlyMap<string, Image>,
  platforms: ReadonlyMap<string, string>,
): Map<string, Image> {
  return new Map([...images].filter(([name, image]) => isForPlatform(image, platforms.get(name))))
}

function twoPlatforms(name: string, users: readonly { readonly service: string; readonly platform: string }[]) {
  const said = users.map(({ service, platform }) => `${service} wants ${platform}`).join(', ')
  return new StagecraftError('config', `Cannot use ${name} for two platforms: ${said}`, {
    hint: 'An engine keeps one image per name. Give one of them the digest of its platform: `image: name@sha256:…`.',
  })
}
