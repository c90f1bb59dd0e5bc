/**
 * As-if rewrites: what if the program had called something it never called?
 *
 * A rewrite changes single operations of an input before they are carried out, and brings the switches that the changed call needs. How often it was
 * applied is reported, because a rewrite that never applies proves nothing; and what a recording cannot tell about it (acts/act.ts).
 *
 *   mremap=relocate    each mremap that may move gets MREMAP_RELOCATE_ANON: pages go to the offset of their new address, and to a
 *                      neighbour's anon_vma or a new one (the successor of seed 004)
 *   dontneed=…, free=…, munmap=dontneed     memory is given back otherwise (acts/giveBack.ts, acts/retain.ts)
 *   uffd-copy=move     pages are moved, not copied (acts/moveInsteadOfCopy.ts)
 */
import { MREMAP_MAYMOVE, MREMAP_RELOCATE_ANON } from '../abi/mman.ts';
import { UsageError } from '../base/assert.ts';
import type { FeatureSetting } from '../mm/index.ts';
import type { ReplayOp } from '../replay/index.ts';
import type { Act, ActKind, ActReport, ActSetting, Turn } from './acts/act.ts';
import { GiveBack, type GiveBackRule } from './acts/giveBack.ts';
import { MoveInsteadOfCopy } from './acts/moveInsteadOfCopy.ts';
import { Retain } from './acts/retain.ts';

/** One rewrite. */
export interface Rewrite extends ActKind {
  /** What is written after `--as`. */
  readonly rule: string;
  readonly text: string;
}

/** Each mremap that may move asks for new offsets. */
class Relocate implements Act {
  #applied = 0;
  turn({ op }: ReplayOp): Turn | null {
    if (op.call !== 'mremap' || (op.flags & MREMAP_MAYMOVE) === 0) return null;
    this.#applied++;
    return { op: { ...op, flags: op.flags | MREMAP_RELOCATE_ANON } };
  }
  report(): ActReport {
    return { name: 'as mremap=relocate', applied: this.#applied, left: {}, figures: {}, remarks: [] };
  }
}

interface Described {
  readonly rule: string;
  readonly text: string;
  readonly needs: readonly FeatureSetting[];
  readonly isBounded?: true;
  readonly isForThreads?: true;
}

const rewrite = (of: Described, begin: (setting: ActSetting) => Act): Rewrite => ({
  ...of,
  name: `as ${of.rule}`,
  bounds: of.isBounded === true ? ['least', 'most'] : [null],
  begin,
});

const giving = (rule: GiveBackRule, of: Described): Rewrite =>
  rewrite(of, (setting) => new GiveBack(rule, setting));

const VRANGE: FeatureSetting = { name: 'vrange', value: 'on' };

/** Every rewrite. */
export const REWRITES: readonly Rewrite[] = [
  rewrite(
    {
      rule: 'mremap=relocate',
      text: 'each mremap with MREMAP_MAYMOVE gets MREMAP_RELOCATE_ANON',
      needs: [{ name: 'mremapRelocateAnon', value: 'on' }],
      isForThreads: true,
    },
    () => new Relocate(),
  ),
  giving(
    { from: 'dontneed', to: 'vrange' },
    {
      rule: 'dontneed=vrange',
      text: 'each MADV_DONTNEED becomes VRANGE_VOLATILE, the next access to its range is preceded by VRANGE_NOVOLATILE',
      needs: [VRANGE],
    },
  ),
  giving(
    { from: 'dontneed', to: 'free' },
    { rule: 'dontneed=free', text: 'MADV_FREE instead', needs: [], isForThreads: true },
  ),
  giving(
    { from: 'dontneed', to: 'none' },
    { rule: 'dontneed=none', text: 'the call is not made', needs: [], isForThreads: true },
  ),
  giving(
    { from: 'free', to: 'vrange' },
    {
      rule: 'free=vrange',
      text: 'each MADV_FREE becomes VRANGE_VOLATILE',
      needs: [VRANGE],
      isBounded: true,
    },
  ),
  giving(
    { from: 'free', to: 'dontneed' },
    {
      rule: 'free=dontneed',
      text: 'MADV_DONTNEED instead',
      needs: [],
      isBounded: true,
      isForThreads: true,
    },
  ),
  rewrite(
    {
      rule: 'munmap=dontneed',
      text: 'address space is kept: MADV_DONTNEED instead of munmap, and no mmap inside what is kept',
      needs: [],
    },
    () => new Retain(),
  ),
  rewrite(
    {
      rule: 'uffd-copy=move',
      text: 'UFFDIO_MOVE instead of UFFDIO_COPY',
      needs: [{ name: 'uffdMove', value: 'move' }],
      isBounded: true,
      isForThreads: true,
    },
    (setting) => new MoveInsteadOfCopy(setting),
  ),
];

/** Returns the rewrite of a rule; throws UsageError when there is none. */
export function findRewrite(rule: string): Rewrite {
  const found = REWRITES.find((each) => each.rule === rule);
  if (found !== undefined) return found;
  const rules = REWRITES.map((each) => each.rule).join(', ');
  throw new UsageError(`no rewrite '${rule}'`, `one of ${rules}`);
}
