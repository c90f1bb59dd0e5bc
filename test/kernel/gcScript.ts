/**
 * A run of the workload compacting-gc as a script: every call and every access that may fault, in the order in which the model carried them out, each
 * with what came of it. oracle/gcReplay.c does the same on the running kernel.
 *
 * The run has one CPU, so that one thread after the other does what it does, as the script has it.
 */
import { vi } from 'vitest';
import { type Op, Thread, type UffdRequest, Userfaultfd } from '../../src/machine/index.ts';
import { FAULTED } from '../../src/mm/index.ts';
import { runThreaded, settleParams, THREADED_WORKLOADS } from '../../src/workloads/index.ts';
import { CALIBRATION } from '../support/calibration.ts';

/** One line: what is done, and what the model says comes of it. */
export interface ScriptLine {
  readonly text: string;
  came: string;
}

/** The arguments of a call as gcReplay reads them; null for what does not concern memory. */
function lineOf(op: Op, value: number): string | null {
  switch (op.call) {
    case 'mmap':
      return `mmap ${value} ${op.len} ${op.prot} ${op.flags} ${op.fd < 0 ? '18446744073709551615' : op.fd} ${op.offset}`;
    case 'munmap':
      return `munmap ${op.addr} ${op.len}`;
    case 'mprotect':
      return `mprotect ${op.addr} ${op.len} ${op.prot}`;
    case 'madvise':
      return `madvise ${op.addr} ${op.len} ${op.advice}`;
    case 'mremap':
      return `mremap ${op.addr} ${op.oldLen} ${op.newLen} ${op.flags} ${op.newAddr}`;
    case 'memfd_create':
      return `memfd ${value}`;
    case 'ftruncate':
      return `ftruncate ${op.fd} ${op.size}`;
    case 'userfaultfd':
      return `userfaultfd ${value} ${SIGBUS_FEATURE}`;
    case 'uffd_ioctl':
      return ioctlLine(op.fd, op.request);
    default:
      return null;
  }
}

function ioctlLine(fd: number, request: UffdRequest | null): string | null {
  if (request?.name === 'UFFDIO_REGISTER')
    return `register ${fd} ${request.start} ${request.len} ${request.mode}`;
  if (request?.name === 'UFFDIO_UNREGISTER') return `unregister ${fd} ${request.start} ${request.len}`;
  return null;
}

const SIGBUS_FEATURE = 128;

/** Faults of a thread that were served. */
const faultsOf = ({ faults }: Thread): number =>
  faults.reduce((sum, nr) => sum + nr, 0) - (faults[FAULTED.signal] as number);

/** What a call came to, and what the process has then. */
function state({ mm }: Thread, result: string): string {
  if (mm === null) return result;
  return `${result} vmas ${mm.mapCount} rss ${4 * (mm.rssAnon + mm.rssFile + mm.rssShmem)}`;
}

/** Adds the ioctls of userfaultfd to `lines` as they come. */
function watchIoctls(lines: ScriptLine[]): void {
  const { fill, move } = Userfaultfd.prototype;
  vi.spyOn(Userfaultfd.prototype, 'fill').mockImplementation(function* (this: Userfaultfd, t, kind, request) {
    const result = yield* fill.call(this, t, kind, request);
    const text = `${kind} ${this.fd} ${request.start} ${request.len} ${request.source ?? 0}`;
    lines.push({ text, came: state(t, result.why === 'ok' ? '0' : result.why) });
    return result;
  });
  vi.spyOn(Userfaultfd.prototype, 'move').mockImplementation(function* (this: Userfaultfd, t, request) {
    const result = yield* move.call(this, t, request);
    const text = `move ${this.fd} ${request.start} ${request.len} ${request.source}`;
    lines.push({ text, came: state(t, result.why === 'ok' ? '0' : result.why) });
    return result;
  });
}

/** Runs the workload and returns its script. */
export function scriptOfRun(given: Readonly<Record<string, string | number>>): ScriptLine[] {
  const workload = THREADED_WORKLOADS.find(({ name }) => name === 'compacting-gc');
  if (workload === undefined) throw new Error('compacting-gc is gone');
  const lines: ScriptLine[] = [];
  const attempts = new Map<Thread, { line: ScriptLine; faults: number; access: string }>();
  const begin = (t: Thread, addr: number, access: string): void => {
    const line = { text: `${access} ${addr}`, came: '' };
    lines.push(line);
    attempts.set(t, { line, faults: faultsOf(t), access });
  };
  const end = (t: Thread): void => {
    const attempt = attempts.get(t);
    if (attempt !== undefined) attempt.line.came = `faults ${faultsOf(t) - attempt.faults}`;
  };
  const { attempt, touch, onSignal } = Thread.prototype;
  vi.spyOn(Thread.prototype, 'attempt').mockImplementation(function* (this: Thread, op) {
    const outcome = yield* attempt.call(this, op);
    const text = lineOf(op, outcome.kind === 'value' ? outcome.value : 0);
    if (text !== null)
      lines.push({ text, came: state(this, outcome.kind === 'errno' ? outcome.errno : '0') });
    return outcome;
  });
  vi.spyOn(Thread.prototype, 'touch').mockImplementation(function* (
    this: Thread,
    addr,
    len,
    access = 'write',
  ) {
    begin(this, addr, access);
    yield* touch.call(this, addr, len, access);
    end(this);
    attempts.delete(this);
  });
  vi.spyOn(Thread.prototype, 'onSignal').mockImplementation(function (this: Thread, signal, handler) {
    onSignal.call(
      this,
      signal,
      handler === null
        ? null
        : function* (who, info) {
            const outer = attempts.get(who);
            if (outer !== undefined) outer.line.came = 'signal';
            yield* handler(who, info);
            begin(who, info.addr, outer?.access ?? 'read');
          },
    );
  });
  watchIoctls(lines);
  try {
    const params = settleParams(workload, { ...given, cold: 0, sigbus: 'on' });
    runThreaded({ workload, params }, { calibration: CALIBRATION, cpus: 1, jitter: 0 });
  } finally {
    vi.restoreAllMocks();
  }
  return lines;
}
