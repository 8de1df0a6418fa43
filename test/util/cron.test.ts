import { expect, test } from 'bun:test'
import { calendars, cronFields, nextTime, parseCron, type Schedule } from '../../lib/util/cron.ts'

function parsed(text: string): Schedule {
  const schedule = parseCron(text)
  if (typeof schedule === 'string') throw new Error(`${text} ${schedule}`)
  return schedule
}

test.each([
  ['0 3 * * *', '0 3 * * *', ['*-*-* 03:00:00']],
  ['  0\t3 * * *  ', '0 3 * * *', ['*-*-* 03:00:00']],
  [
    '*/20 8-10 * JAN,dec mon-fri',
    '0,20,40 8,9,10 * 1,12 1,2,3,4,5',
    ['Mon,Tue,Wed,Thu,Fri *-01,12-* 08,09,10:00,20,40:00'],
  ],
  ['10-20/5,59 */12 1,15 2-12/5 *', '10,15,20,59 0,12 1,15 2,7,12 *', ['*-02,07,12-01,15 00,12:10,15,20,59:00']],
  ['0 0 * * 7', '0 0 * * 0', ['Sun *-*-* 00:00:00']],
  ['0 0 * * 5-7', '0 0 * * 0,5,6', ['Sun,Fri,Sat *-*-* 00:00:00']],
  ['0 0 * * 0-7', '0 0 * * *', ['*-*-* 00:00:00']],
  ['0-59 0-23 1-31 1-12 0-6', '* * * * *', ['*-*-* *:*:00']],
  ['0 3 1 * mon', '0 3 1 * 1', ['*-*-01 03:00:00', 'Mon *-*-* 03:00:00']],
  ['0 0 1-31/2 * sun', '0 0 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * 0', expect.any(Array)],
  ['0 0 1-31 * mon', '0 0 * * *', ['*-*-* 00:00:00']],
  ['0 0 */2 * *', '0 0 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * *', expect.any(Array)],
  ['0 0 29 2 *', '0 0 29 2 *', ['*-02-29 00:00:00']],
  ['@hourly', '0 * * * *', ['*-*-* *:00:00']],
  ['@Daily', '0 0 * * *', ['*-*-* 00:00:00']],
  ['@midnight', '0 0 * * *', ['*-*-* 00:00:00']],
  ['@weekly', '0 0 * * 0', ['Sun *-*-* 00:00:00']],
  ['@monthly', '0 0 1 * *', ['*-*-01 00:00:00']],
  ['@yearly', '0 0 1 1 *', ['*-01-01 00:00:00']],
  ['@annually', '0 0 1 1 *', ['*-01-01 00:00:00']],
])('%s is said to cron and to systemd in the same plain numbers', (text, cron, calendar) => {
  expect(cronFields(parsed(text))).toBe(cron)
  expect(calendars(parsed(text))).toEqual(calendar)
  expect(cronFields(parsed(cron))).toBe(cron)
})

test.each([
  ['', 'must have 5 fields'],
  ['0 3 * *', 'must have 5 fields'],
  ['0 0 3 * * *', 'must have 5 fields'],
  ['0 3 * * *\n* * * * * rm', 'must have 5 fields'],
  ['@reboot', 'must be a schedule: the words are @hourly'],
  ['@', 'must be a schedule'],
  ['60 * * * *', 'has no minute "60": write numbers from 0 to 59'],
  ['* 24 * * *', 'has no hour "24"'],
  ['* * 0 * *', 'has no day of the month "0"'],
  ['* * 32 * *', 'has no day of the month "32"'],
  ['* * * 13 *', 'has no month "13": write numbers from 1 to 12, or names such as feb'],
  ['* * * january *', 'has no month "january"'],
  ['* * * * 8', 'has no day of the week "8"'],
  ['* * * * fri-sun', 'a range must not end before it begins'],
  ['* 22-4 * * *', 'a range must not end before it begins'],
  ['5/15 * * * *', 'a step needs * or a range before it'],
  ['*/0 * * * *', 'a step must be at least 1'],
  ['*/x * * * *', 'has no minute "*/x"'],
  ['1,,2 * * * *', 'has no minute ""'],
  ['1-2-3 * * * *', 'has no minute "1-2-3"'],
  ['-1 * * * *', 'has no minute "-1"'],
  ['+1 * * * *', 'has no minute "+1"'],
  ['0x1 * * * *', 'has no minute "0x1"'],
  ['% * * * *', 'has no minute "%"'],
  ['0 0 ? * *', 'has no day of the month "?"'],
  ['0 0 L * *', 'has no day of the month "L"'],
  ['0 0 15W * *', 'has no day of the month "15W"'],
  ['0 0 * * mon#2', 'has no day of the week "mon#2"'],
  ['0 0 */2 * 1', 'must not have a step from *'],
  ['0 0 1 * */2', 'must not have a step from *'],
  ['0 0 30 2 *', 'never comes'],
  ['0 0 31 4,6,9,11 *', 'never comes'],
])('%j is refused: %s', (text, why) => {
  expect(parseCron(text)).toBeString()
  expect(String(parseCron(text))).toContain(why)
})

test.each([
  ['0 3 * * *', '2026-11-22 02:59', '2026-11-22 03:00'],
  ['0 3 * * *', '2026-11-22 03:00', '2026-11-23 03:00'],
  ['* * * * *', '2026-12-31 23:59', '2027-01-01 00:00'],
  ['0 0 29 2 *', '2026-11-22 00:00', '2028-02-29 00:00'],
  ['0 0 29 2 *', '2096-03-01 00:00', '2104-02-29 00:00'],
  ['0 3 13 * fri', '2026-11-10 00:00', '2026-11-13 03:00'],
  ['0 3 13 * fri', '2026-11-13 03:00', '2026-11-20 03:00'],
  ['30 8-10/2 * * sat,7', '2026-11-22 10:30', '2026-11-28 08:30'],
])('the next time of %s after %s is %s', (text, after, next) => {
  expect(nextTime(parsed(text), after)).toBe(next)
})

test('the next time of a text that is no time is not known', () => {
  expect(nextTime(parsed('* * * * *'), 'soon')).toBeUndefined()
})
