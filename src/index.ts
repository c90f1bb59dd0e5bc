/**
 * What `import … from 'faultline'` gives: everything the subpaths give, in one place.
 *
 * `faultline/mm` is the memory manager, `faultline/machine` processes and operations, `faultline/replay` the readers of recordings,
 * `faultline/report` folds and texts, `faultline/workloads` programs of ours. examples/embed.ts shows a first use.
 */
export * from './machine/index.ts';
export * from './mm/index.ts';
export * from './replay/index.ts';
export * from './report/index.ts';
export * from './workloads/index.ts';
