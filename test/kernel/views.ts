/**
 * What oracle/views prints of itself, and the same asked of the model: each step goes to the kernel as a line and to the model as an operation.
 */
import { execFileSync } from 'node:child_process';
import type { Addr } from '../../src/base/units.ts';
import { Machine, type Op } from '../../src/machine/index.ts';
import {
  forEachPage,
  Kernel,
  LINUX_6_18,
  type Mm,
  pagemapWord,
  smapsRollupText,
  smapsText,
  statmText,
  statusText,
} from '../../src/mm/index.ts';

/** One step: a system call, accesses by the process or a child of it, a new child, a memfd as a descriptor. */
export type Step =
  | { readonly op: CalledOp }
  | { readonly touch: 'r' | 'w'; readonly at: Addr; readonly pages: number; readonly child?: number }
  | { readonly fork: true }
  | { readonly memfd: number; readonly fd: number };

type CalledOp = Extract<
  Op,
  { call: 'mmap' | 'munmap' | 'mprotect' | 'mremap' | 'madvise' | 'mlock' | 'mlock2' | 'munlock' }
>;

/** What /proc shows of a process, as text. */
export interface Views {
  readonly smaps: string;
  readonly rollup: string;
  readonly status: string;
  readonly statm: string;
  readonly pagemap: string;
}

/** The views before and after the steps. */
export interface ViewsOfRun {
  readonly before: Views;
  readonly after: Views;
}

const PARTS = ['smaps', 'rollup', 'status', 'statm', 'pagemap'] as const;
const SELF = 1;
/** The task of child 0. */
const CHILD = 100;
const SIGCHLD = 17;
const FLAG_BIT = 55n;

function numbersOf(op: CalledOp): readonly number[] {
  switch (op.call) {
    case 'mmap':
      return [9, op.addr, op.len, op.prot, op.flags, op.fd, op.offset];
    case 'munmap':
      return [11, op.addr, op.len];
    case 'mprotect':
      return [10, op.addr, op.len, op.prot];
    case 'mremap':
      return [25, op.addr, op.oldLen, op.newLen, op.flags, op.newAddr];
    case 'madvise':
      return [28, op.addr, op.len, op.advice];
    case 'mlock':
      return [149, op.addr, op.len];
    case 'mlock2':
      return [325, op.addr, op.len, op.flags];
    case 'munlock':
      return [150, op.addr, op.len];
  }
}

function lineOf(step: Step): string {
  if ('op' in step) return `call ${numbersOf(step.op).join(' ')}`;
  if ('fork' in step) return 'fork';
  if ('memfd' in step) return `memfd ${step.memfd} ${step.fd}`;
  const who = step.child === undefined ? 'touch' : `child ${step.child}`;
  return `${who} ${step.touch} ${step.at} ${step.pages}`;
}

/** Runs the steps on the kernel. @param views  the program; @param swap  there is swap space meanwhile. Throws when a call fails that should not. */
export function viewsOfKernel(views: string, steps: readonly Step[], swap: boolean): ViewsOfRun {
  const lines = [...(swap ? ['swap'] : []), 'view', ...steps.map(lineOf), 'view'];
  const output = execFileSync(views, {
    input: `${lines.join('\n')}\n`,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (/^-> (?!0$)/m.test(output)) throw new Error(output.slice(-200));
  const failed = /^-\d+$/m.exec(output);
  if (failed !== null) throw new Error(`a call failed: ${output}`);
  const parts = output.split(/^(?:smaps|rollup|status|statm|pagemap|end)\n/m);
  const at = (first: number): Views => {
    const [smaps = '', rollup = '', status = '', statm = '', pagemap = ''] = parts.slice(first);
    return { smaps, rollup, status, statm, pagemap };
  };
  return { before: at(1), after: at(1 + PARTS.length + 1) };
}

/** Runs the steps on the model. What files are called there is told by `kernel`: only a file system knows. */
export function viewsOfModel(steps: readonly Step[], swap: boolean, kernel: ViewsOfRun): ViewsOfRun {
  const machine = new Machine(new Kernel(LINUX_6_18, swap ? { totalSwapPages: 1 << 14 } : {}));
  const mm = machine.spawn(SELF).mm as Mm;
  const before = viewsOf(mm);
  let children = 0;
  for (const step of steps) {
    if ('op' in step) machine.apply(SELF, step.op);
    else if ('fork' in step)
      machine.apply(SELF, { call: 'clone', flags: SIGCHLD, child: CHILD + children++ });
    else if ('memfd' in step) {
      machine.apply(SELF, { call: 'memfd_create', name: 'view', flags: 0 }, { handle: step.fd });
      machine.apply(SELF, { call: 'ftruncate', fd: step.fd, size: step.memfd });
    } else {
      const task = step.child === undefined ? SELF : CHILD + step.child;
      const access = step.touch === 'w' ? 'write' : 'read';
      machine.apply(task, {
        call: 'touch',
        addr: step.at,
        len: step.pages * 4096,
        access,
        stamp: 1,
        by: 'user',
      });
    }
  }
  for (const vma of mm.vmas) {
    const line = new RegExp(`^${vma.start.toString(16)}-\\S+ \\S+ \\S+ (\\S+) (\\d+) `, 'm').exec(
      kernel.after.smaps,
    );
    if (vma.file === null || line === null) continue;
    vma.file.object.dev = line[1] as string;
    vma.file.object.inode = Number(line[2]);
  }
  return { before, after: viewsOf(mm) };
}

function viewsOf(mm: Mm): Views {
  let pagemap = '';
  for (const vma of mm.vmas)
    forEachPage(mm, vma.start, vma.end, (addr) => {
      const flags = pagemapWord(mm, addr) >> FLAG_BIT;
      if (flags !== 0n) pagemap += `${addr.toString(16)} ${flags.toString(16)}\n`;
    });
  return {
    smaps: smapsText(mm),
    rollup: smapsRollupText(mm),
    status: statusText(mm),
    statm: statmText(mm),
    pagemap,
  };
}

/**
 * Adds to each number of `after` what `kernelBefore` had more than `before`: the program of the oracle has memory of its own. Numbers keep their
 * columns, so the result is what the kernel must print byte for byte.
 */
export function shifted(after: string, before: string, kernelBefore: string): string {
  const numbers = (text: string): number[] => (text.match(/\d+(?= kB|(?= |\n))/g) ?? []).map(Number);
  const own = numbers(kernelBefore);
  const ours = numbers(before);
  let i = 0;
  return after.replace(/( *)(\d+)(?= kB|(?= |\n))/g, (_, blanks: string, digits: string) => {
    const value = String(Number(digits) + (own[i] ?? 0) - (ours[i] ?? 0));
    i++;
    return value.padStart(Math.max(blanks.length + digits.length, value.length + Math.min(1, blanks.length)));
  });
}
