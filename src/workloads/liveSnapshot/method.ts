/**
 * The ways to know which pages a guest writes while it is saved.
 *
 *   fork             the child has memory as it was, and saves it
 *   wp-default       userfaultfd protects what is there; what is not there is not protected, and a first write to it not noticed
 *   pre-read         every page is read first, so that the zero page is there to be protected
 *   populate-read    the same by one MADV_POPULATE_READ
 *   wp-unpopulated   userfaultfd protects what is not there, too (UFFD_FEATURE_WP_UNPOPULATED)
 *   wp-async         writes are not stopped but noted, and PAGEMAP_SCAN tells of them: copies are repeated until little is left
 *   soft-dirty       the same by /proc/PID/clear_refs and pagemap, without userfaultfd. Nobody measured it here
 */
import {
  UFFD_FEATURE_PAGEFAULT_FLAG_WP,
  UFFD_FEATURE_WP_ASYNC,
  UFFD_FEATURE_WP_UNPOPULATED,
} from '../../abi/userfaultfd.ts';

/** All methods, in the order in which they are told. */
export const METHODS = [
  'fork',
  'wp-default',
  'pre-read',
  'populate-read',
  'wp-unpopulated',
  'wp-async',
  'soft-dirty',
] as const;
/** One of them. */
export type MethodName = (typeof METHODS)[number];

/** What a method does. */
export interface Method {
  /** Who notices a write. */
  readonly by: 'child' | 'messages' | 'scan' | 'soft-dirty';
  /** What it asks userfaultfd for: UFFD_FEATURE_ bits. */
  readonly features: number;
  /** How pages that are not there are brought in before. */
  readonly prefault: 'none' | 'read' | 'populate';
}

const WP = UFFD_FEATURE_PAGEFAULT_FLAG_WP;

/** What each method does. */
export const METHOD: Readonly<Record<MethodName, Method>> = {
  fork: { by: 'child', features: 0, prefault: 'none' },
  'wp-default': { by: 'messages', features: WP, prefault: 'none' },
  'pre-read': { by: 'messages', features: WP, prefault: 'read' },
  'populate-read': { by: 'messages', features: WP, prefault: 'populate' },
  'wp-unpopulated': { by: 'messages', features: WP | UFFD_FEATURE_WP_UNPOPULATED, prefault: 'none' },
  'wp-async': { by: 'scan', features: WP | UFFD_FEATURE_WP_ASYNC, prefault: 'none' },
  'soft-dirty': { by: 'soft-dirty', features: 0, prefault: 'none' },
};
