/**
 * vrange(2) of seed 002. The call never got a number in Linux; arguments as in the posting of March 2013 (v7).
 */

/** `mode`: the kernel may throw the range away; it is the owner's again. */
export const VRANGE_VOLATILE = 0;
export const VRANGE_NOVOLATILE = 1;

/** `behavior`: a range goes as a whole; a few pages at a time. */
export const VRANGE_FULL = 0;
export const VRANGE_PARTIAL = 1;
