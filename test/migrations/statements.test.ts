import { describe, expect, test } from 'bun:test'
import type { Dialect } from '../../lib/migrations/sql/text/dialect.ts'
import { splitStatements } from '../../lib/migrations/sql/text/statements.ts'
import { errorOf } from '../support/failure.ts'

const split = (text: string, dialect: Dialect) => splitStatements({ name: '1.sql', text }, dialect)
const sqlOf = (text: string, dialect: Dialect) => split(text, dialect).map(({ sql }) => sql)
const refusal = (text: string, dialect: Dialect) => errorOf(() => split(text, dialect)).message
const ALL = ['postgres', 'mysql', 'sqlite'] as const

describe.each(ALL)('%s', (dialect) => {
  test.each([
    ['nothing', '', []],
    ['comments only', '-- a;\n/* b; */ ;;', []],
    ['the last without its semicolon', 'select 1;\nselect 2', ['select 1', 'select 2']],
    ['semicolons in texts', "select ';', 'it''s;';select 2;", ["select ';', 'it''s;'", 'select 2']],
    ['semicolons in names', 'select ";a"";b";select 2', ['select ";a"";b"', 'select 2']],
    ['semicolons in comments', 'select 1 -- a;b\n, 2 /* ; */;select 2', ['select 1 -- a;b\n, 2', 'select 2']],
    ['CRLF', 'select 1;\r\nselect\r\n2;\r\n', ['select 1', 'select\r\n2']],
  ])('%s', (_, text, statements) => {
    expect(sqlOf(text, dialect)).toEqual(statements)
  })

  test('each statement has the line of its first word', () => {
    const text = '\n-- a\nselect\n1; select 2;\n\n/* b\n*/ select 3'
    expect(split(text, dialect).map(({ line }) => line)).toEqual([3, 4, 7])
  })

  test('a quote or comment that is not closed is refused with the line where it begins', () => {
    expect(refusal("select 1;\nselect '\n;\n", dialect)).toBe("Cannot use 1.sql:2: a text or name in ' is not closed")
    expect(refusal('select 1;\n\n/* select 2;\n', dialect)).toBe('Cannot use 1.sql:3: a comment is not closed')
  })

  test('a file of 30,000 statements takes no longer than its length says', () => {
    /** Milliseconds of the processor: how long others have it meanwhile does not count. */
    const time = (count: number) => {
      const text = `insert into t values (1, 'a;b');\n`.repeat(count)
      const began = process.cpuUsage()
      expect(split(text, dialect)).toHaveLength(count)
      const { user, system } = process.cpuUsage(began)
      return (user + system) / 1000
    }
    time(3_000)
    const long = Math.min(time(30_000), time(30_000))
    const short = Math.max(time(3_000), time(3_000))
    // It would be 100 times as long if each statement took as long as what stands before it.
    expect(long).toBeLessThan(40 * short + 1_000)
  })

  test('a text of 5 MB', () => {
    expect(sqlOf(`select '${'a;'.repeat(2_500_000)}';select 2`, dialect)).toHaveLength(2)
  })
})

describe('PostgreSQL', () => {
  test.each([
    ['dollar quotes', 'do $$ begin; end $$; select 2', ['do $$ begin; end $$', 'select 2']],
    ['dollar quotes with tags', 'do $a$ x; $$; $b$ $a$; select 2', ['do $a$ x; $$; $b$ $a$', 'select 2']],
    ['parameters and names are no dollar quotes', 'select $1; select a$b$; c', ['select $1', 'select a$b$', 'c']],
    ['E texts', "select E'\\';', e'a\\\\';select 2", ["select E'\\';', e'a\\\\'", 'select 2']],
    ['a backslash in another text is itself', "select '\\';select 2", ["select '\\'", 'select 2']],
    ['nested comments', '/* a /* ; */ ; */ select 1;', ['select 1']],
    ['rules', 'create rule r as on insert to t do (select 1; select 2); select 3', 2],
    [
      'bodies in standard SQL',
      'create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end; select 3',
      2,
    ],
    ['BEGIN and END as a transaction', 'begin; select 1; end;', ['begin', 'select 1', 'end']],
  ])('%s', (_, text, statements) => {
    const found = sqlOf(text, 'postgres')
    expect(typeof statements === 'number' ? found.length : found).toEqual(statements)
  })

  test.each([
    ['select 1;\n\\connect app', 'Cannot use 1.sql:2: \\connect is a command of psql, not SQL'],
    ['\n\ncopy t (a, b)\nfrom stdin;\n1\t2\n\\.\n', 'Cannot use 1.sql:3: COPY from or to the client is not possible'],
    ['do $x$ a', 'Cannot use 1.sql:1: what begins with $x$ is not closed'],
  ])('%j is refused', (text, message) => {
    expect(refusal(text, 'postgres')).toBe(message)
  })
})

describe('MySQL', () => {
  const body = 'create procedure p() begin if 1 then select 1; end if; select 2; end'
  test.each([
    ['backslashes', 'select \'\\\';\', "\\";";select 2', 2],
    ['names in backticks', 'select `a;``;`;select 2', 2],
    ['# and -- comments', 'select 1 # a;\n;select 2--1;\nselect 3', ['select 1', 'select 2--1', 'select 3']],
    ['comments do not nest', '/* /* ; */ select 1;select 2', 2],
    ['what runs in a comment counts', '/*!40101 SET NAMES utf8 */;', ['/*!40101 SET NAMES utf8 */']],
    ['NULL as \\N', 'select \\N;select 2', 2],
    ['DELIMITER', `delimiter //\n${body}//\nDELIMITER ;\nselect 3;`, [body, 'select 3']],
    ['DELIMITER $$ next to a word', `delimiter $$\n${body};$$\nselect 3$$`, [body, 'select 3']],
    ['a body without DELIMITER', `${body};select 3`, [body, 'select 3']],
    ['triggers', 'create trigger t before insert on a for each row set new.a = 1; select 2', 2],
    [
      'triggers with IF',
      'create trigger t before insert on a for each row if new.a then set new.a = 1; end if; select 2',
      2,
    ],
    ['IF as a function', 'create function f() returns int begin return if(1, 2, 3); end; select 2', 2],
    [
      'every block',
      `create definer=root@localhost procedure p() begin
        declare exit handler for sqlexception begin rollback; end;
        declare c cursor for select case when 1 then if(1,2,3) else 4 end;
        a: loop leave a; end loop a; repeat set @x := repeat('a', 2); until 1 end repeat;
        while 0 do select 1; end while; case 1 when 1 then if 1 then select 2; end if; else begin end; end case;
        for i in 1..3 do select i; end for; drop table if exists z; select 1 for update;
       end; select 3`,
      2,
    ],
    ['a column named as an object', 'create table t (event int, begin_at int); select 2', 2],
    ['BEGIN as a transaction', 'begin; select 1; commit', ['begin', 'select 1', 'commit']],
    ['BEGIN NOT ATOMIC', 'begin not atomic select 1; select 2; end; select 3', 2],
    ['events', 'create event e on schedule every 1 day do begin select 1; select 2; end; select 3', 2],
  ])('%s', (_, text, statements) => {
    const found = sqlOf(text, 'mysql')
    expect(typeof statements === 'number' ? found.length : found).toEqual(statements)
  })

  test.each([
    ['delimiter\nselect 1', 'Cannot use 1.sql:1: DELIMITER needs one, such as //'],
    ['\nsource a.sql', 'Cannot use 1.sql:2: source is a command of the client program, not SQL'],
    ['\\. a.sql', 'Cannot use 1.sql:1: \\. is a command of the client program, not SQL'],
  ])('%j is refused', (text, message) => {
    expect(refusal(text, 'mysql')).toBe(message)
  })
})

describe('SQLite', () => {
  test.each([
    ['names in brackets', 'select [a;b], `c;`;select 2', 2],
    [
      'triggers',
      'create temp trigger t after insert on a begin select case 1 when 1 then 2 end; select 2; end; select 3',
      2,
    ],
    ['a transaction', 'begin; select 1; end', 3],
  ])('%s', (_, text, count) => {
    expect(sqlOf(text, 'sqlite')).toHaveLength(count)
  })

  test('a command of its shell is refused', () => {
    expect(refusal('.read a.sql\n', 'sqlite')).toBe(
      'Cannot use 1.sql:1: .read is a command of the client program, not SQL',
    )
  })
})
