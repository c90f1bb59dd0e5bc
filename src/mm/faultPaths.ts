/**
 * Which priced path a fault is charged, by how it was served and on whose behalf.
 *
 * Linux   none
 */
import type { FaultName, Origin, PathName } from './work.ts';

/** The path of each kind of fault by the program; those that take a new page have a cold one too. */
const PROGRAM_PATH: Readonly<Record<FaultName, PathName>> = {
  anon: 'fault-anon-hot',
  'zero-page': 'fault-zero-page',
  'zero-to-write': 'fault-zero-to-write',
  huge: 'fault-huge',
  'huge-zero': 'fault-huge-zero',
  'huge-zero-to-write': 'fault-huge-zero-to-write',
  cow: 'fault-cow',
  reuse: 'fault-reuse',
  'shmem-new': 'fault-shmem-new',
  'shmem-cached': 'fault-shmem-cached',
  'shmem-around': 'fault-shmem-around',
  'shmem-cow': 'fault-shmem-cow',
  file: 'fault-file',
  'file-cow': 'fault-file-cow',
  'swap-in': 'fault-swap-in',
  'swap-cached': 'fault-shmem-cached',
  spurious: 'fault-spurious',
  guard: 'fault-signal',
  signal: 'fault-signal',
};
/** Where the kernel populates, these come cheaper; the others cost what the program would have paid. */
const POPULATE_PATH: Readonly<Record<FaultName, PathName>> = {
  ...PROGRAM_PATH,
  anon: 'populate-write-hot',
  'zero-page': 'populate-read',
  huge: 'populate-huge',
  'huge-zero': 'populate-huge-zero',
  guard: 'fault-spurious',
  signal: 'fault-spurious',
};
const MLOCK_PATH: Readonly<Record<FaultName, PathName>> = { ...POPULATE_PATH, anon: 'mlock-absent' };

/** The path of each kind of fault, by its origin. */
export const FAULT_PATHS: Readonly<Record<Origin, Readonly<Record<FaultName, PathName>>>> = {
  program: PROGRAM_PATH,
  populate: POPULATE_PATH,
  mlock: MLOCK_PATH,
};
