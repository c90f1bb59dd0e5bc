/**
 * Blocked pairs as the kernel itself showed them at the end of a recording: the counterpart of report/pairs.ts, which looks at the model.
 *
 * Two private anonymous vmas that touch and have equal permissions and flags (sticky ones apart). What keeps them apart is told by
 * `vmas.end` where a recording has it, which shows page offsets and anon_vmas; without it only the number is known.
 */
import { nrPagesIn } from '../base/units.ts';
import type { EndState, SmapsEntry, VmaInternals } from '../replay/index.ts';

/** How many pairs the kernel had, by what kept them apart; null where it did not show that. */
export interface KernelPairs {
  readonly vmas: number;
  readonly pairs: number;
  readonly kinds: { readonly pgoff: number; readonly anonVma: number; readonly both: number } | null;
}

const STICKY: ReadonlySet<string> = new Set(['gu', 'sd']);
const NAMES: ReadonlySet<string> = new Set(['', '[heap]', '[stack]']);

const flagsOf = (entry: SmapsEntry): string => entry.vmFlags.filter((code) => !STICKY.has(code)).join(' ');

const isPrivateAnonymous = ({ maps }: SmapsEntry): boolean =>
  maps.perms.endsWith('p') && maps.inode === 0 && NAMES.has(maps.name);

/** Counts the pairs at the end of a process, or returns null where the recording has no smaps of it. */
export function kernelPairs({ smaps, vmas }: EndState): KernelPairs | null {
  if (smaps === null) return null;
  const internals = vmas === null ? null : new Map(vmas.map((vma) => [vma.start, vma]));
  const kinds = { pgoff: 0, anonVma: 0, both: 0 };
  let pairs = 0;
  for (let i = 1; i < smaps.length; i++) {
    const below = smaps[i - 1] as SmapsEntry;
    const above = smaps[i] as SmapsEntry;
    if (below.maps.end !== above.maps.start || below.maps.perms !== above.maps.perms) continue;
    if (!isPrivateAnonymous(below) || !isPrivateAnonymous(above) || flagsOf(below) !== flagsOf(above))
      continue;
    pairs++;
    const [one, other] = [internals?.get(below.maps.start), internals?.get(above.maps.start)];
    const kind = one === undefined || other === undefined ? null : kindOf(one, other);
    if (kind !== null) kinds[kind]++;
  }
  return { vmas: smaps.length, pairs, kinds: internals === null ? null : kinds };
}

function kindOf(below: VmaInternals, above: VmaInternals): 'pgoff' | 'anonVma' | 'both' | null {
  const gap = below.pgoff + nrPagesIn(below.end - below.start) !== above.pgoff;
  const differ = below.anonVma !== null && above.anonVma !== null && below.anonVma !== above.anonVma;
  if (gap) return differ ? 'both' : 'pgoff';
  return differ ? 'anonVma' : null;
}
