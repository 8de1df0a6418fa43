import * as v from 'valibot'
import { variable } from './fields.ts'

const NOTIFY = 'must be a mapping with `url_env`, or a list of them'
const target = v.strictObject(
  {
    url_env: variable('DEPLOY_WEBHOOK'),
    format: v.exactOptional(v.picklist(['json', 'slack'], 'must be json or slack')),
  },
  NOTIFY,
)

/** `notify` of an environment (spec/core/notify.md): one, or a list; always a list afterwards. */
export const notify = v.pipe(
  v.union([target, v.array(target, NOTIFY)], NOTIFY),
  v.transform((value): NotifyConfig[] => [value].flat()),
)

/** Where a finished release is sent. */
export interface NotifyConfig {
  /** the variable with the URL */
  readonly url_env: string
  /** default: json */
  readonly format?: 'json' | 'slack'
}
