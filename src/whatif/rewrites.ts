/**
 * As-if rewrites: what if the program had called something it never called?
 *
 * A rewrite changes single operations of an input before they are carried out, and brings the switches that the changed call needs. How often it was
 * applied is reported, because a rewrite that never applies proves nothing.
 *
 *   mremap=relocate    each mremap that may move gets MREMAP_RELOCATE_ANON: pages go to the offset of their new address, and to a
 *                      neighbour's anon_vma or a new one (the successor of seed 004)
 */
import { MREMAP_MAYMOVE, MREMAP_RELOCATE_ANON } from '../abi/mman.ts';
import { UsageError } from '../base/assert.ts';
import type { Op } from '../machine/index.ts';
import type { FeatureSetting } from '../mm/index.ts';

/** One rewrite. */
export interface Rewrite {
  /** What is written after `--as`. */
  readonly rule: string;
  readonly text: string;
  /** Switches without which the kernel would not know the changed call. */
  readonly needs: readonly FeatureSetting[];
  /** Returns the changed operation, or null where the rule does not apply. */
  rewritten(op: Op): Op | null;
}

/** Every rewrite. */
export const REWRITES: readonly Rewrite[] = [
  {
    rule: 'mremap=relocate',
    text: 'each mremap with MREMAP_MAYMOVE gets MREMAP_RELOCATE_ANON',
    needs: [{ name: 'mremapRelocateAnon', value: 'on' }],
    rewritten(op) {
      if (op.call !== 'mremap' || (op.flags & MREMAP_MAYMOVE) === 0) return null;
      return { ...op, flags: op.flags | MREMAP_RELOCATE_ANON };
    },
  },
];

/** Returns the rewrite of a rule; throws UsageError when there is none. */
export function findRewrite(rule: string): Rewrite {
  const found = REWRITES.find((each) => each.rule === rule);
  if (found !== undefined) return found;
  const rules = REWRITES.map((each) => each.rule).join(', ');
  throw new UsageError(`no rewrite '${rule}'`, `one of ${rules}`);
}
