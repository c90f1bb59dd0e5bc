/**
 * A snapshot inside an ops file against the model: the vma lines of the window, in every living process.
 *
 * Pages, figures and page tables of the snapshot are not compared (docs/fidelity.md); what a snapshot line has of maps and VmFlags is.
 */
import { type Addr, hexRange } from '../../base/units.ts';
import type { Machine } from '../../machine/index.ts';
import { type Mm, permsOf, type Vma, vmaDisplayName, vmFlagCodes } from '../../mm/index.ts';
import type { Snapshot, SnapshotProcess, SnapshotVma } from '../item.ts';
import type { Difference } from './difference.ts';

const PAGE = 4096;

/** Prints a vma as a snapshot line does, without figures. */
function snapshotText(mm: Mm, vma: Vma): string {
  const offset = vma.file === null ? 0 : vma.pgoff * PAGE;
  const name = vmaDisplayName(mm, vma);
  return `${hexRange(vma.start, vma.end)} ${permsOf(vma.flags)} ${offset.toString(16).padStart(8, '0')}${name === '' ? '' : ` ${name}`} flags=${vmFlagCodes(vma.flags)}`;
}

const recordedText = (vma: SnapshotVma): string =>
  `${hexRange(vma.start, vma.end)} ${vma.perms} ${vma.offset.toString(16).padStart(8, '0')}${vma.name === '' ? '' : ` ${vma.name}`} flags=${vma.vmFlags.join(' ')}`;

/**
 * Compares the vma lines of a snapshot.
 * @param window  the part of the address space the file speaks about
 * @param report  is called for each difference
 * @returns       how many lines were compared
 */
export function compareSnapshot(
  snapshot: Snapshot,
  machine: Machine,
  window: { readonly start: Addr; readonly end: Addr } | null,
  report: (difference: Difference) => void,
): number {
  let compared = 0;
  for (const recorded of snapshot.processes) {
    const mm = machine.processOf(recorded.task)?.mm ?? null;
    if (mm === null) {
      report({
        file: snapshot.file,
        line: recorded.line,
        op: snapshot.number,
        kind: 'vma',
        what: 'a process we do not have',
        kernel: String(recorded.task),
        ours: '',
      });
      continue;
    }
    compared += compareProcess(snapshot, recorded, { mm, window }, report);
  }
  return compared;
}

function compareProcess(
  snapshot: Snapshot,
  recorded: SnapshotProcess,
  ours: { readonly mm: Mm; readonly window: { readonly start: Addr; readonly end: Addr } | null },
  report: (difference: Difference) => void,
): number {
  const { mm, window } = ours;
  const vmas = [...mm.vmas].filter(
    (vma) => window === null || (vma.start < window.end && vma.end > window.start),
  );
  const at = { file: snapshot.file, op: snapshot.number, kind: 'vma' as const };
  for (const [i, line] of recorded.vmas.entries()) {
    const vma = vmas[i];
    const kernel = recordedText(line);
    const text = vma === undefined ? '(no more vmas)' : snapshotText(mm, vma);
    if (kernel === text) continue;
    report({ ...at, line: line.line, what: `vma line of process ${recorded.task}`, kernel, ours: text });
    if (vma === undefined || vma.start !== line.start || vma.end !== line.end) return i + 1;
  }
  const extra = vmas[recorded.vmas.length];
  if (extra !== undefined)
    report({
      ...at,
      line: recorded.line,
      what: 'a vma more than the kernel has',
      kernel: '',
      ours: snapshotText(mm, extra),
    });
  return recorded.vmas.length;
}
