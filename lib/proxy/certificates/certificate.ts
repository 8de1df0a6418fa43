import type * as contract from '../../output/contract/status.ts'
import type { Of } from '../../util/schema.ts'

/** The certificate of a host name, as the proxy has it. */
export type CertificateState = Omit<Of<typeof contract.certificate>, 'host' | 'problem'>

/** What became of the last attempt to get one. */
export type Attempt = Pick<CertificateState, 'requested' | 'error' | 'failed_at'>
