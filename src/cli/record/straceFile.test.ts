import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cleanLine, StraceFile } from './straceFile.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'faultline-test-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const LAUNCH = [
  '7 1.0 execve("/bin/bash", ["bash"], 0x1 /* 3 vars */) = 0 <0.1>',
  '7 1.1 execve("/-", ["/-"], 0x1) = -1 ENOENT (No such file or directory) <0.1>',
];
const HELD = '7 1.2 execve("/bin/x", ["/bin/x"], 0x1 /* 3 vars */) = 0 (DELAYED) <0.1>';

function follow(...texts: string[]): StraceFile {
  const path = join(dir, 'raw');
  writeFileSync(path, '');
  const file = new StraceFile(path);
  for (const text of texts) {
    appendFileSync(path, text);
    file.follow();
  }
  file.close();
  return file;
}

describe('following the file that strace writes', () => {
  it('finds the process and the line of the held execve, in pieces as they come', () => {
    const before = `${LAUNCH.join('\n')}\n`;
    const file = follow(
      before.slice(0, 20),
      before.slice(20),
      HELD.slice(0, 30),
      `${HELD.slice(30)}\n7 1.3 brk(`,
    );
    expect(file.pid).toBe(7);
    expect(file.held).toEqual({ line: HELD.replace(' (DELAYED)', ''), end: before.length + HELD.length + 1 });
    expect(file.end).toBe(before.length + HELD.length + 1);
  });

  it('takes only new stops after forgetStops, and remembers who stopped last', () => {
    const stop = (tid: number): string => `${tid} 2.0 --- stopped by SIGSTOP ---\n`;
    const file = follow(
      `${LAUNCH[0]}\n`,
      stop(7),
      stop(8),
      '8 2.1 brk(NULL) = 0x1000 <0.1>\n',
      '9 2.2 --- stopped by SIGTSTP ---\n',
    );
    expect([...file.stopped]).toEqual([7, 8]);
    expect([...file.stoppedLast]).toEqual([7, 9]);
    file.forgetStops();
    expect([...file.stopped]).toEqual([]);
  });

  it('takes the last held execve that succeeded, and puts its halves together', () => {
    const failed =
      '7 3.0 execve("/bin/y", ["y"], 0x1) = -1 ENOENT (No such file or directory) (DELAYED) <0.1>';
    const begun = '7 3.1 execve("/usr/bin/y", ["y"], 0x1 /* 3 vars */ <unfinished ...>';
    const other = '9 3.2 execve("/usr/bin/z", ["z"], 0x1) = 0 <0.1>';
    const resumed = '7 3.3 <... execve resumed>) = 0 (DELAYED) <0.2>';
    const text = `${[...LAUNCH, HELD, failed, begun, other, resumed].join('\n')}\n`;
    const file = follow(`${text}7 3.4 brk(NULL) = 0x1000 <0.1>\n`);
    expect(file.execFailure).toBe('-1 ENOENT (No such file or directory)');
    const line = '7 3.1 execve("/usr/bin/y", ["y"], 0x1 /* 3 vars */) = 0 <0.2>';
    expect(file.held).toEqual({ line, end: text.length });
  });

  it('keeps how the process ended', () => {
    expect(
      follow(`${LAUNCH[0]}\n9 1.5 +++ exited with 0 +++\n7 2.0 +++ killed by SIGSEGV (core dumped) +++\n`)
        .fate,
    ).toBe('killed by SIGSEGV (core dumped)');
  });
});

describe('a line of a recording', () => {
  const held = new Set([7]);
  for (const [what, line, expected] of [
    ['loses the mark of a delayed call', HELD, HELD.replace(' (DELAYED)', '')],
    ['is left out if it is an exit_group that has not happened', '7 4.0 exit_group(0 <unfinished ...>', null],
    [
      'stays if the exit_group is another thread’s',
      '8 4.0 exit_group(0 <unfinished ...>',
      '8 4.0 exit_group(0 <unfinished ...>',
    ],
    ['stays otherwise', LAUNCH[1]!, LAUNCH[1]!],
  ] as const)
    it(what, () => expect(cleanLine(line, held)).toBe(expected));
});
