/**
 * Configurations: what is compared. The baseline, each switch alone, all together; or each value of what is varied, with the switches that are set in all of them.
 *
 * Invariant   the first configuration is the one that the others are held against
 */
import { UsageError } from '../base/assert.ts';
import {
  type FeatureSetting,
  type Features,
  isSetting,
  parseFeatureSetting,
  withSettings,
} from '../mm/index.ts';
import type { ActKind, Bound } from './acts/act.ts';
import { type Probe, parseProbe } from './probes.ts';
import { findRewrite, type Rewrite } from './rewrites.ts';

/** One way to run an input. */
export interface Configuration {
  /** Title of its column. */
  readonly label: string;
  readonly features: Features;
  /** What differs from the first one, as it would be written on the command line without `--`. */
  readonly changes: readonly string[];
  readonly rewrites: readonly Rewrite[];
  /** Who watches, or takes memory away; none when left out. */
  readonly probes?: readonly ActKind[];
  /** Which accesses are played that a recording does not tell (acts/act.ts); none when left out. */
  readonly bound?: Bound;
  /** Parameters of a workload, by name. */
  readonly params: Readonly<Record<string, string>>;
}

/** What a user asks for. */
export interface Asked {
  readonly base: Features;
  readonly settings?: readonly FeatureSetting[];
  /** Rules of `--as`. */
  readonly rewrites?: readonly string[];
  /** Probes of `--probe`. */
  readonly probes?: readonly string[];
  /** Every input tells all accesses, so that nothing is to be bounded. */
  readonly isComplete?: boolean;
  readonly vary?: readonly Vary[];
}

/** Values to try, of a switch or of a parameter of a workload. */
export interface Vary {
  readonly key: string;
  readonly values: readonly string[];
}

/** Reads `key=a,b,c`; throws UsageError. */
export function parseVary(text: string): Vary {
  const at = text.indexOf('=');
  const key = text.slice(0, Math.max(at, 0));
  const values = text.slice(at + 1).split(',');
  if (at <= 0 || values.some((value) => value === ''))
    throw new UsageError(
      `'${text}' names nothing to vary`,
      'KEY=A,B,… of a switch or of a parameter of a workload',
    );
  if (isSetting(key) || key.startsWith('ptReclaim.'))
    for (const value of values) {
      const setting = parseFeatureSetting(`${key}=${value}`);
      if (typeof setting === 'string')
        throw new UsageError(`--vary ${text}: ${setting}`, `a value of ${key}`);
    }
  return { key, values };
}

/** One thing that can be turned on by itself. */
interface Change {
  readonly label: string;
  readonly text: string;
  readonly settings: readonly FeatureSetting[];
  readonly rewrites: readonly Rewrite[];
  readonly probes: readonly ActKind[];
}

/** What one column has besides what is varied. */
interface Column {
  readonly label: string | null;
  readonly changes: readonly Change[];
  /** Probes that every column has. */
  readonly around: readonly Probe[];
  readonly bound: Bound;
}

/**
 * Returns the settings that hold in every column: those of how something is done, which is no proposal of its own, and all of them where something is varied.
 *
 * @throws UsageError when one is varied as well
 */
export function settingsOfAll({ settings = [], vary = [] }: Asked): readonly FeatureSetting[] {
  const both = settings.find(({ name }) => vary.some(({ key }) => key === name));
  if (both !== undefined)
    throw new UsageError(
      `${both.name} is both set and varied`,
      `one of --set ${both.name}=…, --vary ${both.name}=…`,
    );
  return vary.length > 0 ? settings : settings.filter(({ name }) => name.includes('.'));
}

/** Returns the configurations that are asked for, the first one being the baseline. */
export function configurations(asked: Asked): Configuration[] {
  const given = settingsOfAll(asked);
  const base = withSettings(asked.base, given);
  const points = varied(asked.vary ?? []);
  const probes = (asked.probes ?? []).map(parseProbe);
  const around = probes.filter(({ isAround }) => isAround);
  const changes = [
    ...(asked.settings ?? []).filter((each) => !given.includes(each)).map(settingChange),
    ...(asked.rewrites ?? []).map(rewriteChange),
    ...probes.filter(({ isAround }) => !isAround).map(probeChange),
  ];
  const together = changes.length > 1 && !isContradiction(changes);
  // What is around all is held against a machine without it where nothing else is compared.
  const isAlone = changes.length === 0 && points.length === 1 && around.some(({ isFelt }) => isFelt);
  const columns: Omit<Column, 'bound'>[] = [
    { label: null, changes: [], around: isAlone ? around.filter(({ isFelt }) => !isFelt) : around },
    ...(isAlone ? [{ label: around.map(({ name }) => name).join(' '), changes: [], around }] : []),
    ...changes.map((change) => ({ label: change.label, changes: [change], around })),
    ...(together ? [{ label: changes.length === 2 ? 'both' : 'all', changes, around }] : []),
  ];
  const bounded = columns.flatMap((column) => withBounds(column, asked.isComplete === true));
  return points.flatMap((point) => bounded.map((column) => configuration(base, point, column)));
}

/** One column for each bound. What has no bounds leaves the whole column without. */
function withBounds(column: Omit<Column, 'bound'>, isComplete: boolean): Column[] {
  const kinds = [
    ...column.around,
    ...column.changes.flatMap(({ rewrites, probes }) => [...rewrites, ...probes]),
  ];
  const bounds = kinds.map((kind) => kind.bounds).filter((each) => !each.includes(null));
  if (isComplete || bounds.length === 0) return [{ ...column, bound: null }];
  if (bounds.some((each) => each.includes('some'))) return [{ ...column, bound: 'some' }];
  return (['least', 'most'] as const).map((bound) => ({
    ...column,
    label: `${column.label ?? 'baseline'}, ${bound}`,
    bound,
  }));
}

const settingChange = (setting: FeatureSetting): Change => ({
  label: setting.value === 'on' ? setting.name : `${setting.name}=${setting.value}`,
  text: `${setting.name}=${setting.value}`,
  settings: [setting],
  rewrites: [],
  probes: [],
});

function rewriteChange(rule: string): Change {
  const rewrite = findRewrite(rule);
  const { name, needs } = rewrite;
  return { label: name, text: name, settings: needs, rewrites: [rewrite], probes: [] };
}

const probeChange = (probe: Probe): Change => ({
  label: probe.name,
  text: probe.name,
  settings: probe.needs,
  rewrites: [],
  probes: [probe],
});

/** Two values of one switch cannot both be set, one call cannot become two others, and probes of one kind would notice each other. */
function isContradiction(changes: readonly Change[]): boolean {
  const changed = changes.flatMap(({ rewrites }) => rewrites.map(({ rule }) => rule.split('=')[0]));
  const probing = changes.flatMap(({ probes }) => probes);
  if (new Set(changed).size < changed.length || probing.length > 1) return true;
  const values = new Map<FeatureSetting['name'], string>();
  for (const { name, value } of changes.flatMap((change) => change.settings)) {
    if (values.has(name) && values.get(name) !== value) return true;
    values.set(name, value);
  }
  return false;
}

type Point = readonly { readonly key: string; readonly value: string }[];

/** Every combination of the values, the last one changing fastest. */
function varied(vary: readonly Vary[]): Point[] {
  let points: Point[] = [[]];
  for (const { key, values } of vary)
    points = points.flatMap((point) => values.map((value) => [...point, { key, value }]));
  return points;
}

function configuration(base: Features, point: Point, column: Column): Configuration {
  const settings = point.flatMap(({ key, value }) => (isSetting(key) ? [{ name: key, value }] : []));
  const values = point.map(({ key, value }) => `${key}=${value}`);
  const label = [...values, ...(column.label === null ? [] : [column.label])].join(' ');
  return {
    label: label === '' ? 'baseline' : label,
    features: withSettings(base, [
      ...settings,
      ...column.changes.flatMap((change) => change.settings),
      ...column.around.flatMap(({ needs }) => needs),
    ]),
    changes: [
      ...values,
      ...column.changes.map((change) => change.text),
      ...column.around.map(({ name }) => name),
    ],
    rewrites: column.changes.flatMap((change) => change.rewrites),
    probes: [...column.around, ...column.changes.flatMap((change) => change.probes)],
    bound: column.bound,
    params: Object.fromEntries(
      point.filter(({ key }) => !isSetting(key)).map(({ key, value }) => [key, value]),
    ),
  };
}

/**
 * Returns the proposals about merging that are tried on a configuration to see which of them joins a pair: what is not on already of the two halves
 * of seed 004, both together, and their successor as if each mremap asked for it.
 */
export function mergeTrials(base: Configuration): Configuration[] {
  const halves = [
    { name: 'mergePgoffOnMove', value: 'on' },
    { name: 'mergeAcrossAnonVma', value: 'on' },
  ] as const satisfies readonly FeatureSetting[];
  const off = halves.filter(({ name, value }) => base.features[name] !== value);
  const tried = configurations({ base: base.features, settings: off }).slice(1);
  const relocate = configurations({ base: base.features, rewrites: ['mremap=relocate'] }).slice(1);
  return [...tried, ...relocate].map((each) => ({ ...each, params: base.params }));
}
