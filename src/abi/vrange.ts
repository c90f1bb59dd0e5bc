/**
 * vrange(2) of seed 002. The call never got a number in Linux; arguments as in the posting of March 2013 (v7).
 */

/** `mode`: the kernel may throw the range away; it is the owner's again. */
export const VRANGE_VOLATILE = 0;
export const VRANGE_NOVOLATILE = 1;

/** `behavior`: a range goes as a whole; a few pages at a time. */
export const VRANGE_FULL = 0;
export const VRANGE_PARTIAL = 1;

/** The numbers of modes by what they do. */
export const VRANGE_MODE = { volatile: VRANGE_VOLATILE, novolatile: VRANGE_NOVOLATILE } as const;
/** The numbers of behaviors by what they do. */
export const VRANGE_BEHAVIOR = { full: VRANGE_FULL, partial: VRANGE_PARTIAL } as const;

const CONSTANTS: ReadonlyMap<string, number> = new Map(
  Object.entries({ VRANGE_VOLATILE, VRANGE_NOVOLATILE, VRANGE_FULL, VRANGE_PARTIAL }),
);

/** Returns the value of a constant of this file by its name, or null. For parsers and people. */
export const vrangeConstant = (name: string): number | null => CONSTANTS.get(name) ?? null;
