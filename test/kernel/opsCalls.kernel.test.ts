/**
 * What oracle/opsrun answers in sequences made by hand: each call of docs/ops-files.md in a process or a child, and its output as a whole.
 * What is expected is what Linux 6.18 documents or was seen to do; the model has no part in it.
 */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildOpsrun, whyNoOracle } from './oracle.ts';

const why = whyNoOracle();
const opsrun = why === null ? buildOpsrun() : '';
const HAS_BTF = existsSync('/sys/kernel/btf/vmlinux');
/** Otherwise what is read ahead of files differs from machine to machine. */
const HAS_DISK = existsSync('/dev/loop-control') && existsSync('/usr/sbin/mkfs.ext4');
const HEADER = '# opfuzz format 1 seed 1 ops 9 window 0x200000000000-0x200000060000 mode 0';
/** The lines of a log that are not a header, without what differs by machine: sizes of page tables. */
const linesOf = (log: string): string[] =>
  log
    .trimEnd()
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.replace(/ pgtables_kb=\d+/, ''));

function answers(lines: readonly string[], args: readonly string[] = []): string[] {
  const result = spawnSync(opsrun, args, { input: `${[HEADER, ...lines].join('\n')}\n`, encoding: 'utf8' });
  expect(result.stderr).toBe('');
  expect(result.status).toBe(0);
  return linesOf(result.stdout);
}

/** Lines with answers; carried out without them, each must get its own again. */
function expectAnswers(lines: readonly string[]): void {
  const requests = lines.map((line) =>
    line.includes(' = child ') ? line : line.replace(/ = .*$| <flt.*$/, ''),
  );
  expect(answers(requests)).toEqual(lines);
}

const MAP =
  '1 mmap(0x200000000000, 16384, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = 0x200000000000 <flt 0>';
const FAULTED = '2 touch_write(0x200000000000, 8192) = 0 <flt 2>';

describe.runIf(why === null)('opsrun', () => {
  it('has children and their children make calls, and counts their faults only', () => {
    expectAnswers([
      MAP,
      FAULTED,
      '3 fork() = child 0',
      '4 @0 fork() = child 1',
      '5 @1 touch_write(0x200000000000, 16384) = 0 <flt 4>',
      '6 @0 mprotect(0x200000000000, 4096, PROT_READ) = 0 <flt 0>',
      '7 @0 touch_write(0x200000000000, 4096) = -1 SIGSEGV {si_code=SEGV_ACCERR, si_addr=0x200000000000} <flt 0>',
      '8 @1 mremap(0x200000002000, 8192, 8192, MREMAP_MAYMOVE|MREMAP_FIXED, 0x200000010000) = 0x200000010000 <flt 0>',
      '9 touch_read(0x200000000000, 8192) = 0 <flt 0>',
    ]);
  });

  it('lets the last process have its pages alone as soon as the others have ended, whoever forked them', () => {
    const lines = answers([
      '1 mmap(0x200000000000, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0)',
      '2 touch_write(0x200000000000, 4096)',
      '3 fork()',
      '4 @0 fork()',
      'snapshot 4',
      '5 child_exit(0)',
      '6 @0 touch_read(0x200000000000, 4096)',
      'snapshot 6',
      '7 @1 child_exit(1)',
      'snapshot 7',
    ]);
    const page = (flags: string): string => `pg 200000000000-200000001000 ${flags} v=2`;
    expect(lines.filter((line) => /^(pg|self|child|\d)/.test(line)).slice(4)).toEqual([
      'self',
      page('P-------'),
      'child 0',
      page('P-------'),
      'child 1',
      page('P-------'),
      '5 child_exit(0)',
      'self',
      page('P-------'),
      'child 1',
      page('P-------'),
      '7 @1 child_exit(1)',
      'self',
      page('P--X----'),
    ]);
  });

  it('copies between processes and advises them', () => {
    expectAnswers([
      MAP,
      FAULTED,
      '3 mincore(0x200000000000, 16384) = 0 vec=1100 <flt 0>',
      '3 mincore(0x200000000000, 20480) = -1 ENOMEM (Cannot allocate memory) <flt 0>',
      '4 fork() = child 0',
      // The pin wants the page of a forked process for itself: a fault of the reader for each.
      '5 process_vm_readv(child 0, 0x200000000000, 8192) = 8192 <flt 2>',
      // It was given read-only, so writing takes another fault.
      '6 @0 process_vm_writev(self, 0x200000000000, 20480) = 16384 <flt 4>',
      '7 process_madvise(child 0, 0x200000000000, 4096, MADV_COLD) = 4096 <flt 0>',
      '8 @0 process_vm_readv(child 0, 0x200000020000, 4096) = -1 EFAULT (Bad address) <flt 0>',
    ]);
  });

  it.runIf(HAS_DISK)('shares files between all processes, which bring in no page but their own', () => {
    expectAnswers([
      '1 fork() = child 0',
      '2 @0 memfd_create(m0, MFD_ALLOW_SEALING) = 0 <flt 0>',
      '3 ftruncate(m0, 8192) = 0 <flt 0>',
      '4 file_write(m0, 4096, 4096) = 4096 <flt 0>',
      '5 add_seals(m0, F_SEAL_WRITE) = 0 <flt 0>',
      '6 @0 file_write(m0, 0, 4096) = -1 EPERM (Operation not permitted) <flt 0>',
      '7 mmap(0x200000000000, 8192, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, m0, 0) = -1 EPERM (Operation not permitted) <flt 0>',
      '8 open(f1, 4) = 0 <flt 0>',
      '9 ftruncate(f1, 32768) = 0 <flt 0>',
      '10 mmap(0x200000000000, 36864, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, f1, 0) = 0x200000000000 <flt 0>',
      '11 mincore(0x200000000000, 32768) = 0 vec=11110000 <flt 0>',
      '12 touch_read(0x200000000000, 16384) = 0 <flt 1>',
      '13 touch_read(0x200000004000, 8192) = 0 <flt 2>',
      '14 mincore(0x200000000000, 32768) = 0 vec=11111100 <flt 0>',
      '15 fallocate(f1, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4096) = 0 <flt 0>',
      '16 touch_read(0x200000008000, 4096) = -1 SIGBUS {si_code=BUS, si_addr=0x200000008000} <flt 0>',
      '17 mmap(0x200000020000, 4096, PROT_READ, MAP_SHARED|MAP_FIXED, m3, 0) = -1 EBADF (Bad file descriptor) <flt 0>',
    ]);
  });

  it.runIf(HAS_DISK)(
    'carries each sequence of a file out once, also when a disk has to be made on the way',
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'faultline-opsrun-'));
      const path = join(folder, 'some.ops');
      const sequence = [HEADER, '1 open(f0, 2)', 'end of sequence', ''].join('\n');
      writeFileSync(path, sequence.repeat(3));
      const input = openSync(path, 'r');
      const result = spawnSync(opsrun, { stdio: [input, 'pipe', 'pipe'], encoding: 'utf8' });
      closeSync(input);
      rmSync(folder, { recursive: true });
      expect(linesOf(result.stdout)).toEqual(Array.from({ length: 3 }, () => '1 open(f0, 2) = 0 <flt 0>'));
    },
  );

  it('attaches System V segments', () => {
    expectAnswers([
      '1 shmget(s2, 8192) = 0 <flt 0>',
      '2 shmat(s2, 0x200000000000, 0) = 0x200000000000 <flt 0>',
      '3 fork() = child 0',
      '4 @0 shmat(s2, 0x200000010000, SHM_RDONLY) = 0x200000010000 <flt 0>',
      '5 @0 touch_write(0x200000010000, 4096) = -1 SIGSEGV {si_code=SEGV_ACCERR, si_addr=0x200000010000} <flt 0>',
      '6 shmdt(0x200000000000) = 0 <flt 0>',
      '7 shmdt(0x200000000000) = -1 EINVAL (Invalid argument) <flt 0>',
      '8 shmat(s3, 0x200000000000, 0) = -1 EINVAL (Invalid argument) <flt 0>',
    ]);
  });

  it('locks everything without a fault of its own', () => {
    expectAnswers([
      MAP,
      FAULTED,
      '3 fork() = child 0',
      '4 mlockall(MCL_CURRENT|MCL_FUTURE) = 0 <flt 4>',
      '5 @0 mlockall(MCL_CURRENT) = 0 <flt 4>',
      '6 mmap(0x200000010000, 8192, PROT_READ, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = 0x200000010000 <flt 2>',
      '7 munlockall() = 0 <flt 0>',
      '8 msync(0x200000000000, 16384, MS_SYNC|MS_INVALIDATE) = 0 <flt 0>',
      '9 mseal(0x200000010000, 8192, 0) = 0 <flt 0>',
      '10 munmap(0x200000010000, 4096) = -1 EPERM (Operation not permitted) <flt 0>',
    ]);
  });

  it('keeps limits to one process', () => {
    const enomem = '-1 ENOMEM (Cannot allocate memory)';
    const map = (nr: number, by: string, at: number, pages: number, result: string): string =>
      `${nr} ${by}mmap(0x${at.toString(16)}, ${pages * 4096}, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = ${result} <flt 0>`;
    expectAnswers([
      '1 fork() = child 0',
      '2 setrlimit(RLIMIT_AS, now+8192) = 0 <flt 0>',
      map(3, '', 0x200000000000, 3, enomem),
      map(4, '@0 ', 0x200000000000, 3, '0x200000000000'),
      map(5, '', 0x200000000000, 2, '0x200000000000'),
      '6 @0 fill(1) = 0 <flt 0>',
      // One more than vm.max_map_count is let through.
      map(7, '@0 ', 0x200000010000, 1, '0x200000010000'),
      map(8, '@0 ', 0x200000012000, 1, '0x200000012000'),
      map(9, '@0 ', 0x200000014000, 1, enomem),
      '10 setuid(65534) = 0 <flt 0>',
      '11 setrlimit(RLIMIT_MEMLOCK, 4096) = 0 <flt 0>',
      '12 mlock(0x200000000000, 4096) = 0 <flt 1>',
      `13 mlock(0x200000000000, 8192) = ${enomem} <flt 0>`,
      '14 process_vm_readv(child 0, 0x200000000000, 4096) = -1 EPERM (Operation not permitted) <flt 0>',
      '15 @0 prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) = 0 <flt 0>',
      '16 @0 mprotect(0x200000000000, 4096, PROT_READ|PROT_EXEC) = -1 EACCES (Permission denied) <flt 0>',
    ]);
  });

  it('sets the overcommit mode until the sequence ends', () => {
    const map = (nr: number, result: string): string =>
      `${nr} mmap(0x200000000000, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0)${result}`;
    const lines = answers([
      map(1, ''),
      'snapshot 1',
      '2 overcommit(2)',
      map(3, ''),
      'snapshot 3',
      HEADER,
      map(1, ''),
      'snapshot 1',
    ]);
    expect(lines.filter((line) => line.includes('overcommit'))).toEqual(['2 overcommit(2) = 0 <flt 0>']);
    const flags = lines.filter((line) => line.startsWith('vma')).map((line) => line.includes(' nr'));
    expect(flags).toEqual([true, false, true]);
  });

  it('leaves out what a process that is not living does, or has done to it', () => {
    expect(
      answers([
        '1 @0 nop()',
        '2 @0 munmap(0x200000000000, 4096)',
        '3 process_vm_readv(child 1, 0x200000000000, 4096)',
        '4 touch_read(0x200000000000, 4096)',
      ]),
    ).toEqual([
      '4 touch_read(0x200000000000, 4096) = -1 SIGSEGV {si_code=SEGV_MAPERR, si_addr=0x200000000000} <flt 0>',
    ]);
  });

  it('tells which sequence was the end of its executor, and goes on', () => {
    // Over the program of the executor itself.
    const own =
      'mmap(0x400000000000, 1048576, PROT_READ, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0)';
    const lines = answers([`1 ${own}`, HEADER, '1 fork()', `2 @0 ${own}`, HEADER, '1 munlockall()']);
    expect(lines).toEqual(['died with status 0xb', 'died with status 0x300', '1 munlockall() = 0 <flt 0>']);
  });

  it.runIf(HAS_BTF)('shows what the structures of the kernel say, numbered by first appearance', () => {
    const lines = answers(
      [MAP.replace(/ = .*/, ''), FAULTED, '3 fork()', '4 @0 touch_write(0x200000000000, 4096)', 'snapshot 4'],
      ['--internals'],
    );
    const range = 'internal 200000000000-200000004000 pgoff=8589934592';
    expect(lines.filter((line) => line.startsWith('internal'))).toEqual([
      `${range} anon=1 root=1 parent=1 children=2 vmas=1 chain=1`,
      `${range} anon=2 root=1 parent=1 children=0 vmas=1 chain=2`,
    ]);
  });

  it('prints a sequence as soon as its end is read', async () => {
    const child = spawn(opsrun, { stdio: ['pipe', 'pipe', 'inherit'] });
    let text = '';
    const waiting: (() => void)[] = [];
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      for (const wake of waiting.splice(0)) wake();
    });
    for (let i = 1; i <= 3; i++) {
      child.stdin.write(`${HEADER}\n${i} nop()\n${i} munmap(0x200000000000, 0)\nend of sequence\n`);
      while (text.split('EINVAL').length <= i) await new Promise<void>((wake) => waiting.push(wake));
    }
    child.stdin.end();
    await new Promise((done) => child.on('close', done));
    expect(linesOf(text).filter((line) => line.endsWith('nop()'))).toEqual(['1 nop()', '2 nop()', '3 nop()']);
  });
});
