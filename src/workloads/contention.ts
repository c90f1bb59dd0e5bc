/**
 * contention: two threads that keep at the same thing, or at different ones, to see how much slower each gets by the other.
 *
 * The roles are those of the figures thr_* of a calibration: write faults and giving back, mmap and munmap, mprotect; and a call that reads
 * mmap_lock. Each thread has a CPU; without a second role the first one runs alone.
 */
import { MADV_COLD, MADV_DONTNEED, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import type { Running, Thread, ThreadMain } from '../machine/index.ts';
import type { Figures, ThreadedWorkload } from './threaded.ts';
import { numberParam, type Params } from './workload.ts';

/** What a thread does over and over. */
interface Role {
  /** Its memory is written before it begins. */
  readonly setUp: boolean;
  /** Operations one time is. */
  readonly nr: number;
  readonly step: (t: Thread, mem: number, turn: number) => Running<void>;
}

const ROLES: Readonly<Record<string, Role>> = {
  faults: {
    setUp: true,
    nr: 511,
    *step(t, mem) {
      yield* t.touch(mem + PAGE_SIZE, 511 * PAGE_SIZE);
      yield* t.madvise(mem + PAGE_SIZE, 511 * PAGE_SIZE, MADV_DONTNEED);
    },
  },
  maps: {
    setUp: false,
    nr: 1,
    *step(t) {
      yield* t.munmap(yield* t.mmap(PAGE_SIZE, { prot: PROT_READ }), PAGE_SIZE);
    },
  },
  protects: {
    setUp: false,
    nr: 1,
    step: (t, mem, turn) => t.mprotect(mem, PAGE_SIZE, turn % 2 === 0 ? PROT_READ : PROT_READ | PROT_WRITE),
  },
  reads: { setUp: true, nr: 1, step: (t, mem) => t.madvise(mem, PAGE_SIZE, MADV_COLD) },
};

/** Both begin when both are there, nanoseconds. */
const START_NS = 200_000;

function* run(t: Thread, params: Params): Running<Figures> {
  const together = params['vma'] === 'one';
  const windowNs = numberParam(params, 'window');
  const mem = yield* t.mmap(4 * PMD_SIZE);
  const first = Math.ceil(mem / PMD_SIZE) * PMD_SIZE;
  // Two vmas of 2 MiB, or two halves of one.
  if (!together) yield* t.munmap(first + PMD_SIZE, PMD_SIZE);
  const figures: Record<string, number> = {};
  const workers = [];
  for (const [i, which] of ['first', 'second'].entries()) {
    const role = ROLES[String(params[which])];
    if (role === undefined) continue;
    figures[`${which}: ns an operation`] = 0;
    const own = first + (together ? i : 2 * i) * PMD_SIZE;
    if (role.setUp) yield* t.touch(own);
    const main: ThreadMain = function* (w) {
      yield* w.sleep(START_NS - w.nowNs);
      const startNs = w.nowNs;
      let turns = 0;
      for (; w.nowNs < startNs + windowNs; turns++) yield* role.step(w, own, turns);
      figures[`${which}: ns an operation`] = Math.round((w.nowNs - startNs) / (turns * role.nr));
    };
    const cpu = i % t.simulation.scheduler.cpus.length;
    workers.push(yield* t.spawn(which, main, { cpu, realtime: params['policy'] === 'fifo' }));
  }
  for (const worker of workers) yield* t.join(worker);
  return figures;
}

/** The workload `contention`. */
export const CONTENTION: ThreadedWorkload = {
  name: 'contention',
  title: 'two threads, and how much they slow each other down',
  text: 'Each thread does one thing over and over: 511 write faults and MADV_DONTNEED (faults; counted by page), mmap and munmap of a page (maps), mprotect of a page (protects), MADV_COLD of a page (reads). Compare with second=none.',
  machine: { contents: 'fingerprint' },
  params: {
    first: { default: 'faults', unit: '', text: 'what the first does', choices: Object.keys(ROLES) },
    second: {
      default: 'maps',
      unit: '',
      text: 'what the second does',
      choices: [...Object.keys(ROLES), 'none'],
    },
    vma: { default: 'own', unit: '', text: 'a vma for each, or one for both', choices: ['own', 'one'] },
    policy: {
      default: 'other',
      unit: '',
      text: 'ordinary threads, or SCHED_FIFO',
      choices: ['other', 'fifo'],
    },
    window: { default: 5_000_000, unit: 'ns', text: 'how long they go on', min: 100_000 },
  },
  main: run,
};
