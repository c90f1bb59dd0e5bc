/**
 * The end state of a recording against the model: maps byte for byte, VmFlags, and what only a BPF iterator shows.
 *
 * Device, inode and the ` (deleted)` of a file are facts of a file system, not of memory management: an object of the model learns them from
 * the recording (from the start if it was mapped there, else from the majority of its lines) and every line must then agree.
 * Names of anon_vmas and files in `vmas.end` are matched one to one over all processes of a recording.
 */

import { hexRange } from '../../base/units.ts';
import {
  type FileObject,
  isHugeEligible,
  isSharedMemory,
  kernelVmFlags,
  type Mm,
  mapsLine,
  nrPagesOf,
  statusText,
  type Vma,
  vmaDisplayName,
  vmFlagCodes,
} from '../../mm/index.ts';
import type { EndState } from '../item.ts';
import { type MapsLine, VSYSCALL } from '../maps.ts';
import type { SmapsEntry } from '../smaps.ts';
import { statusBytes } from '../stat.ts';
import type { VmaInternals } from '../vmasEnd.ts';
import type { Difference } from './difference.ts';

const TOTALS: readonly string[] = ['VmPeak', 'VmSize', 'VmLck', 'VmData', 'VmStk', 'VmExe', 'VmLib'];
const DELETED = ' (deleted)';

/** What one recording has taught about files, and which of its names stand for which of our objects. */
export class EndComparison {
  readonly #report: (difference: Difference) => void;
  readonly #told = new Set<FileObject>();
  readonly #anonVmaOf = new Map<string, number>();
  readonly #nameOfAnonVma = new Map<number, string>();
  readonly #fileOf = new Map<string, number>();
  readonly #nameOfFile = new Map<number, string>();
  /** Lines, flag words and rows compared so far. */
  compared = 0;

  /** @param report  is called for each difference, in the order of the lines */
  constructor(report: (difference: Difference) => void) {
    this.#report = report;
  }

  /** Compares everything an end state has about the vmas of `mm`. Returns whether their ranges agree, so that what is in them can be compared. */
  compare(end: EndState, mm: Mm): boolean {
    const lines = end.maps.filter(({ name }) => name !== VSYSCALL);
    const repeated = end.smaps?.map(({ maps }) => maps) ?? [];
    this.#learnFiles([...repeated, ...lines], mm);
    if (!this.#compareMaps(end.files.maps, lines, mm)) return false;
    const vmas = [...mm.vmas];
    const smaps = end.smaps?.filter(({ maps }) => maps.name !== VSYSCALL) ?? [];
    this.#compareFlags(end.files.smaps, smaps, vmas, mm);
    if (end.status !== null) this.#compareStatus(end.files.status, end.status, mm);
    if (end.vmas !== null) this.#compareInternals(end.files.vmas, end.vmas, vmas);
    return true;
  }

  /**
   * Tells each file object its device, inode and whether it was unlinked. Every line that shows it has a vote; smaps repeats the lines of maps, so
   * one altered line loses against the others, and where there is only one line of each, smaps is believed.
   */
  #learnFiles(lines: readonly MapsLine[], mm: Mm): void {
    const votes = new Map<FileObject, Map<string, { line: MapsLine; count: number }>>();
    for (const line of lines) {
      const object = mm.vmas.at(line.start)?.file?.object;
      if (object === undefined || this.#told.has(object) || !isNameOf(line.name, object)) continue;
      const of = votes.get(object) ?? new Map<string, { line: MapsLine; count: number }>();
      votes.set(object, of);
      const key = `${line.dev} ${line.inode} ${line.name}`;
      const vote = of.get(key);
      if (vote === undefined) of.set(key, { line, count: 1 });
      else vote.count++;
    }
    for (const [object, of] of votes) {
      const [best] = [...of.values()].sort((x, y) => y.count - x.count);
      if (best === undefined) continue;
      this.#told.add(object);
      object.path = best.line.name;
      if (object.inode !== null && object.kind !== 'shmem' && object.kind !== 'memfd') continue;
      object.dev = best.line.dev;
      object.inode = best.line.inode;
    }
  }

  /** Compares line by line. Returns whether the ranges are the same, so that flags can be compared too. */
  #compareMaps(file: string, lines: readonly MapsLine[], mm: Mm): boolean {
    let vma: Vma | null = mm.vmas.first;
    for (const line of lines) {
      this.compared++;
      const ours = vma === null ? null : mapsLine(mm, vma);
      if (ours !== line.text) {
        this.#report({
          file,
          line: line.line,
          op: null,
          kind: 'vma',
          what: firstWrongField(line, mm, vma),
          kernel: line.text,
          ours: ours ?? '(no more vmas)',
          about: aboutVma(vma),
        });
        if (vma === null || vma.start !== line.start || vma.end !== line.end) return false;
      }
      vma = vma?.next ?? null;
    }
    if (vma === null) return true;
    this.#report({
      file,
      line: lines.length + 1,
      op: null,
      kind: 'vma',
      what: 'a vma more than the kernel has',
      kernel: '(end of maps)',
      ours: mapsLine(mm, vma),
    });
    return false;
  }

  #compareFlags(file: string, smaps: readonly SmapsEntry[], vmas: readonly Vma[], mm: Mm): void {
    for (const [i, entry] of smaps.entries()) {
      const vma = vmas[i];
      this.compared++;
      const ours = vma === undefined ? '(no such vma)' : vmFlagCodes(vma.flags);
      const kernel = entry.vmFlags.join(' ');
      if (vma !== undefined && mapsLine(mm, vma) !== entry.maps.text) {
        this.#report({
          file,
          line: entry.maps.line,
          op: null,
          kind: 'vma',
          what: firstWrongField(entry.maps, mm, vma),
          kernel: entry.maps.text,
          ours: mapsLine(mm, vma),
        });
      }
      if (vma !== undefined) this.#compareEligible(file, entry, mm, vma);
      if (kernel === ours) continue;
      this.#report({
        file,
        line: entry.vmFlagsLine,
        op: null,
        kind: 'flags',
        what: `VmFlags of ${hexRange(entry.maps.start, entry.maps.end)}`,
        kernel,
        ours,
        about: aboutVma(vma ?? null),
      });
    }
  }

  /** Compares whether huge pages may be in a vma; of shared memory the recording does not tell all that decides it. */
  #compareEligible(file: string, entry: SmapsEntry, mm: Mm, vma: Vma): void {
    const kernel = entry.figures.get('THPeligible');
    if (kernel === undefined || (vma.file !== null && isSharedMemory(vma.file.object))) return;
    this.compared++;
    const ours = isHugeEligible(mm, vma) ? 1 : 0;
    if (kernel === ours) return;
    this.#report({
      file,
      line: entry.vmFlagsLine - 1,
      op: null,
      kind: 'flags',
      what: `THPeligible of ${hexRange(entry.maps.start, entry.maps.end)}`,
      kernel: String(kernel),
      ours: String(ours),
    });
  }

  /** Whether calls of several threads overlapped: then it is open how much was mapped at once. */
  hasOverlaps = false;

  /** Compares the totals that status shows: address space and its peak, locked, data, stack, code, libraries. */
  #compareStatus(file: string, status: ReadonlyMap<string, string>, mm: Mm): void {
    const ours = new Map(TOTALS.map((name) => [name, 0]));
    for (const line of statusText(mm).split('\n')) {
      const [name = '', value = ''] = line.split(':');
      if (ours.has(name)) ours.set(name, Number.parseInt(value, 10));
    }
    // Without a start snapshot neither the peak before it is known, nor where the program's code lies.
    if (this.hasOverlaps || mm.hiwaterVm === 0) ours.delete('VmPeak');
    if (mm.endCode === 0) for (const name of ['VmExe', 'VmLib']) ours.delete(name);
    const names = [...status.keys()];
    for (const [name, kB] of ours) {
      const kernel = statusBytes(status, name);
      if (kernel === null) continue;
      this.compared++;
      if (kernel === kB * 1024) continue;
      this.#report({
        file,
        line: names.indexOf(name) + 1,
        op: null,
        kind: 'count',
        what: `${name} of the process`,
        kernel: `${kernel / 1024} kB`,
        ours: `${kB} kB`,
      });
    }
  }

  #compareInternals(file: string, rows: readonly VmaInternals[], vmas: readonly Vma[]): void {
    for (const [i, row] of rows.entries()) {
      const vma = vmas[i];
      this.compared++;
      const wrong = vma === undefined ? 'a vma we do not have' : this.#wrongInternal(row, vma);
      if (wrong === null) continue;
      this.#report({
        file,
        line: row.line,
        op: null,
        kind: 'internals',
        what: `${wrong} of ${hexRange(row.start, row.end)}`,
        kernel: rowText(row),
        ours: vma === undefined ? '' : vmaText(vma),
        about: this.#aboutRow(row, vma ?? null),
      });
    }
    if (rows.length !== vmas.length) {
      this.#report({
        file,
        line: rows.length,
        op: null,
        kind: 'internals',
        what: 'number of rows',
        kernel: String(rows.length),
        ours: String(vmas.length),
      });
    }
  }

  /** Returns which field of a row differs, or null. */
  #wrongInternal(row: VmaInternals, vma: Vma): string | null {
    const anonVma = vma.anonVma;
    if (row.start !== vma.start || row.end !== vma.end) return 'range';
    if (row.flags !== kernelVmFlags(vma.flags)) return 'flags';
    if (row.pgoff !== vma.pgoff) return 'pgoff';
    if (row.chain !== vma.chain.length) return 'chain length';
    if (!this.#sameFile(row.file, vma.file?.id ?? null)) return 'open file';
    if (!this.#sameAnonVma(row.anonVma, anonVma?.id ?? null)) return 'anon_vma';
    if (anonVma === null) return null;
    if (!this.#sameAnonVma(row.root, anonVma.root.id)) return 'root anon_vma';
    if (!this.#sameAnonVma(row.parent, anonVma.parent.id)) return 'parent anon_vma';
    if (row.vmas !== anonVma.nrActiveVmas) return 'number of vmas of the anon_vma';
    return row.children === anonVma.nrChildren ? null : 'number of children of the anon_vma';
  }

  /** The anon_vmas a row is about: ours, and the one that its name was given to before. */
  #aboutRow(row: VmaInternals, vma: Vma | null): Difference['about'] & object {
    const partner = row.anonVma === null ? undefined : this.#anonVmaOf.get(row.anonVma);
    const ours = vma?.anonVma?.id;
    const ids = [partner, ours].filter((id) => id !== undefined);
    return { vmas: vma === null ? [] : [vma.id], anonVmas: partner === ours ? [] : ids };
  }

  #sameAnonVma(name: string | null, id: number | null): boolean {
    return matches(this.#anonVmaOf, this.#nameOfAnonVma, name, id);
  }
  #sameFile(name: string | null, id: number | null): boolean {
    return matches(this.#fileOf, this.#nameOfFile, name, id);
  }
}

/** Tells whether `name` and `id` are partners, making them so at the first meeting. */
function matches(
  idOf: Map<string, number>,
  nameOf: Map<number, string>,
  name: string | null,
  id: number | null,
): boolean {
  if (name === null || id === null) return name === null && id === null;
  const knownId = idOf.get(name);
  const knownName = nameOf.get(id);
  if (knownId === undefined && knownName === undefined) {
    idOf.set(name, id);
    nameOf.set(id, name);
    return true;
  }
  return knownId === id;
}

/** A vma and its neighbours: what keeps them apart, or joins them, is a matter of all three and of their anon_vmas. */
const aboutVma = (vma: Vma | null): { vmas: number[]; anonVmas: number[] } => {
  const vmas = [vma?.prev, vma, vma?.next].filter((one) => one !== null && one !== undefined);
  const anonVmas = vmas.map(({ anonVma }) => anonVma?.id).filter((id) => id !== undefined);
  return { vmas: vmas.map(({ id }) => id), anonVmas: [...new Set(anonVmas)] };
};

const isNameOf = (name: string, object: FileObject): boolean =>
  name === object.path || name === `${object.path}${DELETED}` || `${name}${DELETED}` === object.path;

/** Says in a few words what is wrong with a line. */
function firstWrongField(line: MapsLine, mm: Mm, vma: Vma | null): string {
  if (vma === null) return 'a vma we do not have';
  if (vma.start !== line.start)
    return `start (the kernel's vma begins at ${line.start.toString(16)}, ours at ${vma.start.toString(16)})`;
  if (vma.end !== line.end)
    return `end (the kernel's vma ends at ${line.end.toString(16)}, ours at ${vma.end.toString(16)})`;
  const ours = mapsLine(mm, vma).split(/ +/);
  const kernel = line.text.split(/ +/);
  if (ours[1] !== kernel[1]) return 'permissions';
  if (ours[2] !== kernel[2]) return 'offset';
  if (ours[3] !== kernel[3]) return 'device';
  if (ours[4] !== kernel[4]) return 'inode';
  return vmaDisplayName(mm, vma) === line.name ? 'layout of the line' : 'name';
}

function rowText(row: VmaInternals): string {
  return `flags=${row.flags.toString(16)} pgoff=${row.pgoff.toString(16)} anon_vma=${row.anonVma ?? '-'} root=${row.root ?? '-'} parent=${row.parent ?? '-'} children=${row.children} vmas=${row.vmas} chain=${row.chain} file=${row.file ?? '-'}`;
}

function vmaText(vma: Vma): string {
  const { anonVma } = vma;
  const id = (value: number | undefined): string => (value === undefined ? '-' : `#${value}`);
  return `flags=${kernelVmFlags(vma.flags).toString(16)} pgoff=${vma.pgoff.toString(16)} anon_vma=${id(anonVma?.id)} root=${id(anonVma?.root.id)} parent=${id(anonVma?.parent.id)} children=${anonVma?.nrChildren ?? 0} vmas=${anonVma?.nrActiveVmas ?? 0} chain=${vma.chain.length} file=${id(vma.file?.id)} pages=${nrPagesOf(vma)}`;
}
