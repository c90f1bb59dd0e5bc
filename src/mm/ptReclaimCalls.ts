/**
 * What a program can say about the scan for empty page tables (ptReclaim.ts): for its own process, and for the machine.
 *
 * Seed 003 lists both among what is to be done: a switch for each process by prctl, and delay and size in a file of procfs. Where nothing scans there is
 * neither, as on a kernel that was built without.
 *
 * Linux   none
 */
import { EACCES, EINVAL, ENOENT } from '../abi/errno.ts';
import { PR_PT_RECLAIM_ALWAYS, PR_PT_RECLAIM_MADVISE, PR_PT_RECLAIM_NEVER } from '../abi/prctl.ts';
import type { Mm } from './mm.ts';
import { isScanned, type PtReclaimMode } from './ptReclaim.ts';
import { parseTunables } from './ptScanTunables.ts';
import { OK, refused, type SysResult } from './result.ts';

const MODES: ReadonlyMap<number, PtReclaimMode> = new Map([
  [PR_PT_RECLAIM_NEVER, 'never'],
  [PR_PT_RECLAIM_MADVISE, 'madvise'],
  [PR_PT_RECLAIM_ALWAYS, 'always'],
]);

/**
 * prctl(PR_SET_PT_RECLAIM): whether tables of the process are scanned for. A child has the setting of its parent; after execve it is the machine's.
 * @param mode  PR_PT_RECLAIM_*
 * Refusals     EINVAL not-configured (nothing scans), bad-flags
 */
export function setPtReclaim(mm: Mm, mode: number): SysResult {
  if (!isScanned(mm.kernel)) return refused(EINVAL, 'not-configured');
  const wanted = MODES.get(mode);
  if (wanted === undefined) return refused(EINVAL, 'bad-flags');
  mm.ptReclaim = wanted;
  return OK;
}

/**
 * Writes the file of the scan: from now on it goes by `settings`.
 * @param settings  `interval=50 size=64M`; all of them or none are taken
 * Refusals         ENOENT not-configured (nothing scans) · EACCES not-permitted · EINVAL bad-flags
 */
export function writePtScan(mm: Mm, settings: string): SysResult {
  if (!isScanned(mm.kernel)) return refused(ENOENT, 'not-configured');
  if (!mm.privileged) return refused(EACCES, 'not-permitted');
  const tunables = parseTunables(settings);
  if (tunables === null) return refused(EINVAL, 'bad-flags');
  mm.kernel.setPtScan(tunables);
  return OK;
}
