/**
 * Configurations: what is compared. The baseline, each switch alone, all together; or each value of what is varied.
 *
 * Invariant   the first configuration is the one that the others are held against
 */
import { UsageError } from '../base/assert.ts';
import {
  FEATURES,
  type FeatureName,
  type FeatureSetting,
  type Features,
  parseFeatureSetting,
  withSettings,
} from '../mm/index.ts';
import { findRewrite, type Rewrite } from './rewrites.ts';

/** One way to run an input. */
export interface Configuration {
  /** Title of its column. */
  readonly label: string;
  readonly features: Features;
  /** What differs from the first one, as it would be written on the command line without `--`. */
  readonly changes: readonly string[];
  readonly rewrites: readonly Rewrite[];
  /** Parameters of a workload, by name. */
  readonly params: Readonly<Record<string, string>>;
}

/** What a user asks for. */
export interface Asked {
  readonly base: Features;
  readonly settings?: readonly FeatureSetting[];
  /** Rules of `--as`. */
  readonly rewrites?: readonly string[];
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
  if (Object.hasOwn(FEATURES, key))
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
}

/** Returns the configurations that are asked for, the first one being the baseline. */
export function configurations(asked: Asked): Configuration[] {
  const changes = [
    ...(asked.settings ?? []).map(settingChange),
    ...(asked.rewrites ?? []).map(rewriteChange),
  ];
  const points = varied(asked.vary ?? []);
  const together = changes.length > 1 && !isContradiction(changes);
  const columns: { label: string | null; changes: readonly Change[] }[] = [
    { label: null, changes: [] },
    ...changes.map((change) => ({ label: change.label, changes: [change] })),
    ...(together ? [{ label: changes.length === 2 ? 'both' : 'all', changes }] : []),
  ];
  return points.flatMap((point) => columns.map((column) => configuration(asked.base, point, column)));
}

const settingChange = (setting: FeatureSetting): Change => ({
  label: setting.value === 'on' ? setting.name : `${setting.name}=${setting.value}`,
  text: `${setting.name}=${setting.value}`,
  settings: [setting],
  rewrites: [],
});

function rewriteChange(rule: string): Change {
  const rewrite = findRewrite(rule);
  return { label: `as ${rule}`, text: `as ${rule}`, settings: rewrite.needs, rewrites: [rewrite] };
}

/** Two values of one switch cannot both be set. */
function isContradiction(changes: readonly Change[]): boolean {
  const values = new Map<FeatureName, string>();
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

function configuration(
  base: Features,
  point: Point,
  column: { readonly label: string | null; readonly changes: readonly Change[] },
): Configuration {
  const isFeature = (key: string): boolean => Object.hasOwn(FEATURES, key);
  const settings = point
    .filter(({ key }) => isFeature(key))
    .map(({ key, value }) => ({ name: key as FeatureName, value }));
  const values = point.map(({ key, value }) => `${key}=${value}`);
  const label = [...values, ...(column.label === null ? [] : [column.label])].join(' ');
  return {
    label: label === '' ? 'baseline' : label,
    features: withSettings(base, [...settings, ...column.changes.flatMap((change) => change.settings)]),
    changes: [...values, ...column.changes.map((change) => change.text)],
    rewrites: column.changes.flatMap((change) => change.rewrites),
    params: Object.fromEntries(
      point.filter(({ key }) => !isFeature(key)).map(({ key, value }) => [key, value]),
    ),
  };
}

/**
 * Returns the proposals about merging that are tried on a configuration to see which of them joins a pair: what is not on already of the two halves
 * of seed 004, both together, and their successor as if each mremap asked for it.
 */
export function mergeTrials(base: Configuration): Configuration[] {
  const halves: readonly FeatureSetting[] = [
    { name: 'mergePgoffOnMove', value: 'on' },
    { name: 'mergeAcrossAnonVma', value: 'on' },
  ];
  const off = halves.filter(({ name, value }) => base.features[name] !== value);
  const tried = configurations({ base: base.features, settings: off }).slice(1);
  const relocate = configurations({ base: base.features, rewrites: ['mremap=relocate'] }).slice(1);
  return [...tried, ...relocate].map((each) => ({ ...each, params: base.params }));
}
