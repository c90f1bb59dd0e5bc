/**
 * A machine: one kernel, its processes and threads, and the door through which operations come in.
 *
 * `apply` carries out one Op for one thread at once and returns what the program would see. Nothing here decides anything about memory:
 * it finds the address space and the open files, and calls mm/.
 *
 * Invariants   a thread belongs to one process; an address space is taken down with the last process that refers to it
 * Cost         a few map look-ups an operation on top of mm/
 */
import { ESRCH } from '../abi/errno.ts';
import { CLONE_FILES, CLONE_THREAD, CLONE_VM } from '../abi/mman.ts';
import { exitMm, forkMm } from '../mm/fork.ts';
import type { Kernel } from '../mm/kernel.ts';
import { Mm } from '../mm/mm.ts';
import type { SysResult } from '../mm/result.ts';
import { finished, isWait } from '../mm/uffdContext.ts';
import { announceNext, takeAnnouncements } from '../mm/uffdEvents.ts';
import { uffdRelease } from '../mm/userfaultfd.ts';
import type { FileObject } from '../mm/vma.ts';
import { vrangeLockVerdict } from '../mm/vrange.ts';
import type { WaitingCall } from '../mm/waitingCalls.ts';
import { CallCharges } from './callCharges.ts';
import { fileCall } from './fileCalls.ts';
import { type MemoryOp, memoryCall } from './memoryCalls.ts';
import type { Chosen, Op } from './op.ts';
import { ForkUnderWay, MemoryOpUnderWay, mayWait, type OpUnderWay, waitingForm } from './opsUnderWay.ts';
import { DONE, failure, type Outcome, outcomeOf, UNKNOWN } from './outcome.ts';
import { Killer, pressureCall } from './pressure.ts';
import { FileTable, Process, type Segment } from './process.ts';
import { shmget } from './segments.ts';
import { TableReclaim } from './tableReclaim.ts';
import { Touching, touch } from './touch.ts';
import { startUffdCall } from './uffdCalls.ts';
import type { UffdOp } from './uffdOp.ts';

/** One machine. */
export class Machine {
  readonly kernel: Kernel;
  readonly segments = new Map<number, Segment>();
  readonly #tasks = new Map<number, Process>();
  readonly #processes = new Map<number, Process>();
  /** Address spaces that calls under way use, and how many do. */
  readonly #heldMms = new Map<Mm, number>();
  readonly #unborn = new Set<Mm>();
  readonly #objects = new Map<string, FileObject>();
  readonly #charges: CallCharges;
  /** Who frees empty page tables after operations. */
  readonly tableReclaim: TableReclaim;
  /** Who is killed when no memory can be got back. */
  readonly outOfMemory: Killer;
  readonly #spaces = (): readonly Mm[] => this.addressSpaces;
  #nextPid = 1000;

  /** @param kernel  switches, sysctls and everything the processes share */
  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.#charges = new CallCharges(kernel.work, vrangeLockVerdict(kernel));
    this.tableReclaim = new TableReclaim(kernel);
    this.outOfMemory = new Killer(
      kernel,
      () => this.#processes.values(),
      (process) => this.#exitGroup(process),
    );
  }

  /** The living processes in the order they appeared. */
  get processes(): readonly Process[] {
    return [...this.#processes.values()];
  }
  /** Every address space, also those of children whose parents still sleep in fork. */
  get addressSpaces(): readonly Mm[] {
    const mms = new Set(this.#unborn);
    for (const { mm } of this.#processes.values()) if (mm !== null) mms.add(mm);
    return [...mms];
  }
  /** Returns the process with this pid, or null. */
  process(pid: number): Process | null {
    return this.#processes.get(pid) ?? null;
  }
  /** Returns the process a thread belongs to, or null. */
  processOf(tid: number): Process | null {
    return this.#tasks.get(tid) ?? null;
  }

  /** Starts a process with an empty address space and no descriptors. @param pid  its id, or null for any */
  spawn(pid: number | null = null): Process {
    const process = new Process(pid ?? this.#nextPid++, new Mm(this.kernel), new FileTable());
    this.#add(process);
    return process;
  }

  #add(process: Process): void {
    this.#processes.set(process.pid, process);
    this.#tasks.set(process.pid, process);
  }

  /** Returns the object behind `path`, the same one each time. */
  fileObject(path: string, init: () => FileObject): FileObject {
    let object = this.#objects.get(path);
    if (object === undefined) {
      object = init();
      this.#objects.set(path, object);
    }
    return object;
  }

  /**
   * Carries out `op` for thread `tid`.
   * @param chosen  what the kernel chose, when a recording tells; otherwise our own choices stand
   * @returns       what the program sees
   */
  apply(tid: number, op: Op, chosen: Chosen = {}): Outcome {
    const process = this.#tasks.get(tid);
    if (process === undefined) return UNKNOWN;
    const { mm } = process;
    this.outOfMemory.begins(process);
    this.#before(op);
    const outcome = this.#carryOut(process, tid, op, chosen);
    this.#after(process.mm);
    return this.kernel.reclaim === null ? outcome : this.outOfMemory.ends(process, mm, outcome);
  }

  #before(op: Op): void {
    this.tableReclaim.begins(this.#spaces);
    const { history } = this.kernel.tables;
    if (history === null) return;
    history.doing = op;
    history.op = this.kernel.opNr;
  }
  /** An operation of a thread of `mm` is over. */
  #after(mm: Mm | null): void {
    const { tableReclaim } = this;
    if (tableReclaim.isActive) tableReclaim.after(mm, this.addressSpaces);
    tableReclaim.tick();
  }

  #carryOut(process: Process, tid: number, op: Op, chosen: Chosen): Outcome {
    // First, because most operations are touches. Faults charge themselves.
    if (op.call === 'touch') return process.mm === null ? UNKNOWN : touch(process.mm, op);
    switch (op.call) {
      case 'clone':
        return this.#clone(process, op);
      case 'execve':
        return this.#exec(process, tid);
      case 'exit':
        return this.#exitThread(process, tid);
      case 'exit_group':
        return this.#exitGroup(process);
      case 'open':
      case 'memfd_create':
      case 'close':
      case 'close_range':
      case 'dup':
      case 'ftruncate':
      case 'fallocate':
      case 'write_file':
      case 'add_seals':
      case 'userfaultfd':
        return fileCall(this, process, op, chosen);
      case 'uffd_ioctl':
      case 'uffd_read':
      case 'pagemap_scan':
        return this.#uffd(process, tid, op, chosen);
      case 'shmget':
        return shmget(this, op, chosen);
      case 'nop':
        return DONE;
      case 'mmap':
      case 'munmap':
      case 'mprotect':
      case 'mremap':
      case 'brk':
      case 'madvise':
      case 'vrange':
      case 'process_madvise':
      case 'process_vm':
      case 'clear_refs':
      case 'migrate':
      case 'mlock':
      case 'mlock2':
      case 'munlock':
      case 'mlockall':
      case 'munlockall':
      case 'mincore':
      case 'msync':
      case 'mseal':
      case 'mbind':
      case 'set_vma_name':
      case 'set_memory_merge':
      case 'set_mdwe':
      case 'set_thp_disable':
      case 'prctl_pt_reclaim':
      case 'pt_scan_write':
      case 'setrlimit':
      case 'set_uid':
      case 'fill_maps':
      case 'overcommit':
      case 'shmat':
      case 'shmdt':
      case 'io_setup':
        return this.#memory(process, tid, op, chosen);
    }
    return process.mm === null ? UNKNOWN : pressureCall(process.mm, op);
  }

  /**
   * Begins an operation that may have to wait for userfaultfd. Nothing is done before its first step.
   * @returns  the operation; each step does as much of it as can be done now
   */
  begin(tid: number, op: Op, chosen: Chosen = {}): OpUnderWay {
    const underWay = this.#begin(tid, op, chosen);
    return {
      step: () => {
        const process = this.#tasks.get(tid);
        const mm = process?.mm ?? null;
        if (process !== undefined) this.outOfMemory.begins(process);
        this.#before(op);
        const came = underWay.step();
        if (isWait(came)) return came;
        this.#after(mm);
        if (process === undefined || this.kernel.reclaim === null) return came;
        return this.outOfMemory.ends(process, mm, came);
      },
    };
  }

  #begin(tid: number, op: Op, chosen: Chosen): OpUnderWay {
    const process = this.#tasks.get(tid);
    const mm = process?.mm ?? null;
    if (process === undefined || mm === null) return { step: () => this.apply(tid, op, chosen) };
    const caller = { machine: this, process, mm, tid };
    if (op.call === 'uffd_ioctl') return startUffdCall(caller, op, chosen);
    const charges = new CallCharges(this.kernel.work, vrangeLockVerdict(this.kernel));
    if (op.call === 'touch') return new Touching(mm, op, tid);
    if (op.call === 'clone' && (op.flags & CLONE_VM) === 0)
      return new ForkUnderWay(
        () => this.#fork(mm),
        (came) => (came instanceof Mm ? this.#addCopy(process, op, came) : outcomeOf(came)),
        charges,
      );
    const form = mayWait(op) ? waitingForm(caller, op, chosen) : null;
    return form === null || !mayWait(op)
      ? { step: () => this.apply(tid, op, chosen) }
      : new MemoryOpUnderWay(op, form, charges);
  }

  #uffd(process: Process, tid: number, op: UffdOp, chosen: Chosen): Outcome {
    const { mm } = process;
    return mm === null
      ? UNKNOWN
      : finished(startUffdCall({ machine: this, process, mm, tid }, op, chosen).step());
  }

  #memory(process: Process, tid: number, op: MemoryOp, chosen: Chosen): Outcome {
    const { mm } = process;
    if (mm === null) return UNKNOWN;
    this.#charges.begin(op);
    const outcome = memoryCall({ machine: this, process, mm, tid }, op, chosen);
    this.#charges.end(op, outcome.kind === 'errno');
    return outcome;
  }

  /** Copies an address space; the child is there before its parent goes on. */
  #fork(parent: Mm): WaitingCall<Mm | SysResult> {
    const copy = forkMm(parent);
    const announcements = takeAnnouncements(parent);
    if (copy instanceof Mm) this.#unborn.add(copy);
    return {
      step: () => {
        const wait = announceNext(announcements);
        if (wait === null && copy instanceof Mm) this.#unborn.delete(copy);
        return wait ?? copy;
      },
    };
  }

  #clone(process: Process, op: Extract<Op, { call: 'clone' }>): Outcome {
    if (op.flags & CLONE_THREAD) {
      const child = this.#pidOf(op);
      process.threads.add(child);
      this.#tasks.set(child, process);
      return { kind: 'value', value: child, why: 'ok' };
    }
    let { mm } = process;
    if (mm !== null && (op.flags & CLONE_VM) === 0) {
      this.#charges.begin(null);
      const copy = forkMm(mm);
      this.#charges.endFork();
      if (!(copy instanceof Mm)) return outcomeOf(copy);
      mm = copy;
    }
    return this.#addCopy(process, op, mm);
  }
  #pidOf(op: Extract<Op, { call: 'clone' }>): number {
    return op.child !== 0 ? op.child : this.#nextPid++;
  }
  /** The child that `process` made lives, with `mm`. */
  #addCopy(process: Process, op: Extract<Op, { call: 'clone' }>, mm: Mm | null): Outcome {
    const child = this.#pidOf(op);
    const copy = new Process(child, mm, op.flags & CLONE_FILES ? process.files : process.files.copy());
    copy.execed = process.execed;
    copy.uid = process.uid;
    this.#add(copy);
    return { kind: 'value', value: child, why: 'ok' };
  }

  /** execve takes the old address space away; what it builds is not known, so the process is followed no further. */
  #exec(process: Process, tid: number): Outcome {
    for (const thread of process.threads) if (thread !== tid) this.#tasks.delete(thread);
    process.threads.clear();
    process.threads.add(tid);
    this.#leaveMm(process, false);
    process.execed = true;
    return DONE;
  }

  #exitThread(process: Process, tid: number): Outcome {
    process.threads.delete(tid);
    this.#tasks.delete(tid);
    return process.threads.size === 0 ? this.#exitGroup(process) : DONE;
  }

  #exitGroup(process: Process): Outcome {
    for (const thread of process.threads) this.#tasks.delete(thread);
    process.threads.clear();
    this.#processes.delete(process.pid);
    this.#leaveMm(process, true);
    // Its descriptors are closed after its memory is gone.
    for (const context of process.files.contexts)
      if (!this.processes.some(({ files }) => files.has(context))) uffdRelease(context);
    return DONE;
  }

  /**
   * Returns `call`, which works on memory of `mm`, not its caller's own: until it is over that stays, though its last process leaves it.
   * Linux: mmget() in userfaultfd_copy() and process_vm_rw_core()
   */
  using<T>(mm: Mm, call: WaitingCall<T>): WaitingCall<T> {
    const nrHeld = (): number => this.#heldMms.get(mm) ?? 0;
    let isHeld = false;
    return {
      step: () => {
        const came = call.step();
        if (isWait(came)) {
          if (!isHeld) this.#heldMms.set(mm, nrHeld() + 1);
          isHeld = true;
        } else if (isHeld) {
          if (nrHeld() > 1) this.#heldMms.set(mm, nrHeld() - 1);
          else this.#heldMms.delete(mm);
          this.#takeDown(mm, true);
        }
        return came;
      },
    };
  }

  #leaveMm(process: Process, isExit: boolean): void {
    const { mm } = process;
    process.mm = null;
    if (mm === null) return;
    this.#takeDown(mm, isExit);
  }
  /** Takes an address space down, unless somebody uses it. Linux: mmput() */
  #takeDown(mm: Mm, isExit: boolean): void {
    if (this.#heldMms.has(mm)) return;
    for (const other of this.#processes.values()) if (other.mm === mm) return;
    this.#charges.begin(null);
    exitMm(mm);
    this.#charges.endExit(isExit);
  }

  /** Returns the address space that `process_madvise` or `process_vm` names, or an outcome. */
  targetMm(self: Process, target: 'self' | number): { mm: Mm; remote: boolean } | Outcome {
    if (target === 'self') return self.mm === null ? UNKNOWN : { mm: self.mm, remote: false };
    const process = this.#processes.get(target);
    if (process === undefined || process.mm === null) return failure(ESRCH, 'not-mapped');
    return { mm: process.mm, remote: process !== self };
  }
}
