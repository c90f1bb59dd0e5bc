/**
 * The curve along which jemalloc lets what is not needed go: all of it may stay at first, half of it at half time, nothing at the end.
 *
 * Source   jemalloc: smoothstep.h, the polynomial 6x^5 - 15x^4 + 10x^3
 */

/** Returns the share that may stay of what is 1 - `x` of the time old: 0 for 0, 1 for 1. */
export const smoothShare = (x: number): number => x * x * x * (x * (6 * x - 15) + 10);
