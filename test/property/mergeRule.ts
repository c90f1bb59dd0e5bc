/**
 * Which vmas there are after one call: the rules of merging, written a second time, from spec/vma.md 14.1 to 14.3 and 15.1 alone.
 *
 * An address space is a plain ascending list of areas; every function returns a new list. No tree, no counts, no events, no sharing with
 * src/mm but constants. Memory is private and anonymous; areas differ in access, page offset and anon_vma only.
 */

/** What an area is. Addresses and page offsets are page numbers. */
export interface Area {
  readonly start: number;
  readonly end: number;
  readonly flags: number;
  readonly pgoff: number;
  /** Its anon_vma, or null. */
  readonly anonVma: number | null;
  /** All its anon_vmas; more than one: it came by fork. */
  readonly chain: readonly number[];
}

/** What the rules depend on besides the areas. */
export interface Rules {
  /** Different anon_vmas join if the incoming one is not shared (seed 004 patch 5). */
  readonly across: boolean;
  /** A moved area gets the page offset of its new place if it is not shared (patch 4). */
  readonly freshPgoff: boolean;
  /** A written range joins an unwritten neighbour. */
  readonly faultedWithUnfaulted: boolean;
  /** Growth in place may join the area above. */
  readonly afterResize: boolean;
  /** anon_vmas that another process may map. */
  readonly shared: ReadonlySet<number>;
}

/** A range that is offered to its neighbours. */
interface Offer {
  readonly range: Area;
  /** The area whose memory the range is or will hold: its chain counts. */
  readonly carrier: Area | null;
}

const nrPages = (area: Area): number => area.end - area.start;

/** Returns the part of an area inside [start, end). */
function part(area: Area, start: number, end: number): Area {
  const from = Math.max(area.start, start);
  return { ...area, start: from, end: Math.min(area.end, end), pgoff: area.pgoff + from - area.start };
}

/** Takes [start, end) out of the list; areas on its edges are cut. */
export function cutOut(areas: readonly Area[], start: number, end: number): Area[] {
  const left: Area[] = [];
  for (const area of areas) {
    if (area.end <= start || area.start >= end) left.push(area);
    else {
      if (area.start < start) left.push(part(area, area.start, start));
      if (area.end > end) left.push(part(area, end, area.end));
    }
  }
  return left;
}

const sorted = (areas: readonly Area[]): Area[] => [...areas].sort((a, b) => a.start - b.start);

/** Rule 9: whether the anon_vma of an offered range goes with that of a neighbour. */
function anonVmasFit({ range, carrier }: Offer, area: Area, rules: Rules): boolean {
  if (range.anonVma === area.anonVma) return true;
  if (range.anonVma === null) return area.chain.length <= 1;
  if (area.anonVma === null)
    return rules.faultedWithUnfaulted && (carrier === null || carrier.chain.length <= 1);
  return rules.across && !rules.shared.has(range.anonVma);
}

/** Whether an offered range fits an area that touches it. */
function fits(offer: Offer, area: Area, rules: Rules): boolean {
  const { range } = offer;
  const below = area.end === range.start;
  if (!below && range.end !== area.start) return false;
  if (area.flags !== range.flags) return false;
  const isContinuous = below
    ? area.pgoff + nrPages(area) === range.pgoff
    : range.pgoff + nrPages(range) === area.pgoff;
  return isContinuous && anonVmasFit(offer, area, rules);
}

/** Rule 10: whether the two neighbours of a range may become one. */
function neighboursFit(prev: Area, next: Area, rules: Rules): boolean {
  if (prev.anonVma === next.anonVma || prev.anonVma === null || next.anonVma === null) return true;
  return rules.across && !rules.shared.has(next.anonVma);
}

/** The anon_vma of the area that survives: its own, else the first that there is. */
function withAnonVma(area: Area, ...others: readonly (Area | null)[]): Area {
  const giver = [area, ...others].find((one) => one !== null && one.anonVma !== null) ?? area;
  return { ...area, anonVma: giver.anonVma, chain: giver.chain };
}

/** A range that no area covers is offered to its neighbours; nobody takes it: it becomes an area of its own. */
function insert(areas: readonly Area[], offer: Offer, rules: Rules, isLeftOnly = false): Area[] {
  const { range, carrier } = offer;
  const prev = areas.findLast((area) => area.end <= range.start) ?? null;
  const next = areas.find((area) => area.start >= range.end) ?? null;
  const left = prev !== null && fits(offer, prev, rules);
  const right = next !== null && !isLeftOnly && fits(offer, next, rules);
  const rest = areas.filter((area) => !(left && area === prev) && !(right && area === next));
  if (left && right && neighboursFit(prev, next, rules))
    return sorted([...rest, { ...withAnonVma(prev, next, carrier), end: next.end }]);
  if (left) {
    const others = right ? [next] : [];
    return sorted([...rest, ...others, { ...withAnonVma(prev, carrier), end: range.end }]);
  }
  if (right) {
    const { start, pgoff } = range;
    return sorted([...rest, { ...withAnonVma(next, carrier), start, pgoff }]);
  }
  return sorted([...areas, range]);
}

/** mmap with MAP_FIXED. */
export function mapRule(
  areas: readonly Area[],
  at: { start: number; end: number; flags: number },
  rules: Rules,
): Area[] {
  const range: Area = { ...at, pgoff: at.start, anonVma: null, chain: [] };
  return insert(cutOut(areas, at.start, at.end), { range, carrier: null }, rules);
}

/** mprotect: area by area, until the first hole. */
export function protectRule(
  areas: readonly Area[],
  at: { start: number; end: number; flags: number },
  rules: Rules,
): Area[] {
  let list = [...areas];
  for (let from = at.start; from < at.end; ) {
    const middle = list.find((area) => area.start <= from && from < area.end);
    if (middle === undefined) return list;
    const end = Math.min(middle.end, at.end);
    if (middle.flags !== at.flags) list = modify(list, middle, { ...at, start: from, end }, rules);
    const now = list.find((area) => area.start <= from && from < area.end);
    from = Math.max(end, now?.end ?? end);
  }
  return list;
}

/** [start, end) of `middle` gets other flags: the table of 14.3. */
function modify(
  areas: readonly Area[],
  middle: Area,
  at: { start: number; end: number; flags: number },
  rules: Rules,
): Area[] {
  const range = { ...part(middle, at.start, at.end), flags: at.flags };
  const offer: Offer = { range, carrier: middle };
  const prev = areas.find((area) => area.end === at.start && at.start === middle.start) ?? null;
  const next = areas.find((area) => area.start === at.end && at.end === middle.end) ?? null;
  const left = prev !== null && fits(offer, prev, rules);
  const right = next !== null && fits(offer, next, rules);
  const others = areas.filter(
    (area) => area !== middle && !(left && area === prev) && !(right && area === next),
  );
  const remains = cutOut([middle], at.start, at.end);
  if (left && right && neighboursFit(prev, next, rules))
    return sorted([...others, { ...withAnonVma(prev, next, middle), end: next.end }]);
  if (left) {
    const rest = right ? [...remains, next] : remains;
    return sorted([...others, ...rest, { ...withAnonVma(prev, middle), end: at.end }]);
  }
  if (right) {
    const grown = { ...withAnonVma(next, middle), start: at.start, pgoff: range.pgoff };
    return sorted([...others, ...remains, grown]);
  }
  return sorted([...others, ...remains, range]);
}

/** mremap with MREMAP_FIXED of a range inside one area. */
export function moveRule(
  areas: readonly Area[],
  at: { start: number; end: number; to: number },
  rules: Rules,
): Area[] {
  const len = at.end - at.start;
  const cleared = cutOut(areas, at.to, at.to + len);
  const source = cleared.find((area) => area.start <= at.start && at.start < area.end);
  if (source === undefined) return cleared;
  const isFresh = source.anonVma === null || (rules.freshPgoff && !rules.shared.has(source.anonVma));
  const pgoff = isFresh ? at.to : source.pgoff + at.start - source.start;
  const range = { ...source, start: at.to, end: at.to + len, pgoff };
  return cutOut(insert(cleared, { range, carrier: source }, rules), at.start, at.end);
}

/** mremap that grows an area in place, where there is room. */
export function growRule(areas: readonly Area[], area: Area, by: number, rules: Rules): Area[] {
  const range = { ...area, start: area.end, end: area.end + by, pgoff: area.pgoff + nrPages(area) };
  return insert(areas, { range, carrier: null }, rules, !rules.afterResize);
}
