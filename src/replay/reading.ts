/**
 * How an input is to be read: in which order, and how much of it.
 */

/** How to order. */
export interface OrderOptions {
  /** Moments at which calls take effect, by the line of their entry; a moment outside [entry, exit] is moved to the nearer end. */
  readonly placements?: ReadonlyMap<number, number>;
}

/** What to read, and in which order. */
export interface ReadingOptions extends OrderOptions {
  /** Only the calls are wanted, to find their order: page faults, and inputs in which nothing overlaps, may be left out. */
  readonly isForOrder?: boolean;
}
