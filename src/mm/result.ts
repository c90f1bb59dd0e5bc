/**
 * What a system call answers: a value, or an error with the reason for it.
 *
 * The errno is what the program sees, the reason what our users ask for. Reasons are a closed list; each belongs to one place.
 */

/** Why a call was refused; `ok` when it was not. */
export const WHYS = [
  'ok',
  'unaligned',
  'bad-length',
  'bad-flags',
  'bad-prot',
  'bad-type',
  'bad-range',
  'bad-advice',
  'wraps',
  'bad-offset',
  'bad-fd',
  'no-access',
  'not-mappable',
  'offset-beyond-limit',
  'map-count',
  'no-gap',
  'below-mmap-min-addr',
  'beyond-task-size',
  'exists',
  'overlap',
  'may-not-lock',
  'locked-limit',
  'address-space-limit',
  'data-limit',
  'stack-limit',
  'overcommit',
  'sealed',
  'hole',
  'not-mapped',
  'crosses-vma',
  'may-access',
  'write-exec',
  'not-growsdown',
  'guard-gap',
  'private-duplicate',
  'dont-expand',
  'may-not-move',
  'several-vmas',
  'cannot-extend',
  'relocate-refused',
  'locked',
  'not-anonymous',
  'not-shared',
  'special',
  'droppable',
  'no-huge-page',
  'populate-failed',
  'not-configured',
  'not-permitted',
  'uffd-busy',
  'no-handshake',
  'no-message',
  'bad-pointer',
  'gone',
  'changing',
  'not-registered',
  'page-exists',
  'no-page',
  'not-movable',
  'source-unreadable',
  'partial',
  'poisoned',
  'no-such-segment',
  'heap-blocked',
] as const;
/** A member of WHYS. */
export type Why = (typeof WHYS)[number];

/** The answer of a call: `ret` is the value, or the negative errno. */
export interface SysResult {
  readonly ret: number;
  readonly why: Why;
}

/** Success with value 0. */
export const OK: SysResult = { ret: 0, why: 'ok' };
/** Success with `value`. */
export const ok = (value: number): SysResult => ({ ret: value, why: 'ok' });
/** Refusal with `errno` (positive) because of `why`. */
export const refused = (errno: number, why: Why): SysResult => ({ ret: -errno, why });
/** Tells whether `result` is an error. */
export const isRefused = (result: SysResult): boolean => result.why !== 'ok';
