/**
 * A heap of items by time: the earliest comes out first, of equal times the one that went in first.
 *
 * Kept in parallel arrays. When items arrive in order, as they mostly do, a push touches one parent.
 */
export class TimeHeap<T> {
  readonly #items: T[] = [];
  readonly #times: number[] = [];
  readonly #numbers: number[] = [];
  #pushed = 0;

  /** How many items are inside. */
  get size(): number {
    return this.#items.length;
  }

  /** Time of the earliest item; infinite when empty. */
  get firstTime(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  /** Returns the items in no particular order. */
  items(): readonly T[] {
    return this.#items;
  }

  /** Puts another item in the place of each, at the same time. */
  replace(other: (item: T) => T): void {
    for (let i = 0; i < this.#items.length; i++) this.#items[i] = other(this.#items[i]!);
  }

  /** Adds an item. */
  push(item: T, time: number): void {
    const number = this.#pushed++;
    let hole = this.#items.length;
    this.#items.push(item);
    this.#times.push(time);
    this.#numbers.push(number);
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      if (this.#times[parent]! <= time) break;
      this.#move(parent, hole);
      hole = parent;
    }
    this.#set(hole, item, time, number);
  }

  /** Removes and returns the earliest item, null when empty. */
  pop(): T | null {
    const first = this.#items[0];
    if (first === undefined || this.#items.length === 0) return null;
    const item = this.#items.pop()!;
    const time = this.#times.pop()!;
    const number = this.#numbers.pop()!;
    if (this.#items.length > 0) this.#sink(item, time, number);
    return first;
  }

  #sink(item: T, time: number, number: number): void {
    const size = this.#items.length;
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#isBefore(child + 1, this.#times[child]!, this.#numbers[child]!)) child++;
      if (!this.#isBefore(child, time, number)) break;
      this.#move(child, hole);
      hole = child;
    }
    this.#set(hole, item, time, number);
  }

  #isBefore(i: number, time: number, number: number): boolean {
    return this.#times[i]! < time || (this.#times[i] === time && this.#numbers[i]! < number);
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#items[from]!, this.#times[from]!, this.#numbers[from]!);
  }

  #set(i: number, item: T, time: number, number: number): void {
    this.#items[i] = item;
    this.#times[i] = time;
    this.#numbers[i] = number;
  }
}
