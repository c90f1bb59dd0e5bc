import { describe, expect, it } from 'vitest';
import { detectFormat, requireFormat } from './detect.ts';

describe('a file is known by its first lines', () => {
  const rows: readonly (readonly [format: string | null, lines: readonly string[]])[] = [
    ['opfuzz', ['# opfuzz format 1 seed 1 ops 200 window 0x2-0x3 mode 1']],
    ['opfuzz-uffd', ['# opfuzz-uffd format 1 seed 1']],
    ['bpftrace', ['Attaching 20 probes...', '# faultline-bpftrace 1 pid 26800']],
    ['maps', ['00400000-00401000 r--p 00000000 fe:00 12                    /x']],
    [
      'smaps',
      ['00400000-00401000 r--p 00000000 fe:00 12                    /x', 'Size:                  4 kB'],
    ],
    [
      'perf',
      [
        '# captured on: today',
        '1/1 1001.500000000: exceptions:page_fault_user: address=0x1 ip=0x1 error_code=0x6',
      ],
    ],
    [
      'perf',
      [
        'redis-server 16605 [001]  2560.342517: exceptions:page_fault_user: address=0x1 ip=0x1 error_code=0x6',
      ],
    ],
    ['strace', ['execve("/x", ["x"], 0x7f /* 3 vars */) = 0']],
    [
      'strace',
      [
        'strace: Process 7 attached',
        '[pid     7] 12:00:01.123456 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f00\r',
      ],
    ],
    ['strace', ['7731<t> 1795171146.945064 brk(NULL) = 0x1']],
    ['strace', ['7     12:00:01 (+     0.000123) [   9] [00007f2f47b46ad7] brk(NULL) = 0x1']],
    ['strace', ['7731       0.000000 brk(NULL <unfinished ...>']],
    ['strace', ['Hello from the program', '7 +++ exited with 0 +++']],
    [null, ['hello world']],
    [null, ['\u0000\u0001\u0002']],
    [null, ['', '  ']],
    [null, []],
  ];
  for (const [format, lines] of rows)
    it(`${format}: ${lines[0] ?? 'nothing'}`, () => expect(detectFormat(lines)).toBe(format));

  it('and refused if it is none of ours', () => {
    expect(() => requireFormat(['hello'], 'x')).toThrow('this is no format that can be read');
    expect(() => requireFormat([], 'x')).toThrow('the file is empty');
    expect(() => requireFormat(['% time     seconds  usecs/call     calls    errors syscall'], 'x')).toThrow(
      'this is a summary of strace -c',
    );
  });
});
