/**
 * Rows of the decision table as cases of the notation of vma.cases, so that the running kernel can be asked about column B.
 *
 * Every call of a row works on the baseline, so what each step must give is known without asking; the vmas at the end are what the model
 * has, and the kernel is held against them.
 */
import type { DecisionRow } from '../../src/experiments/decisionTable.ts';
import { stepsOf } from '../../src/experiments/situation.ts';
import { type Case, parseCaseFile } from './caseFile.ts';
import { runOnModel } from './vmaModel.ts';

/** Writes one step with what it gives. */
function withAnswer(words: readonly string[]): string {
  const [op = '', at = '0', pages = '1'] = words;
  const text = words.join(' ');
  switch (op) {
    case 'touch':
    case 'commit':
    case 'gather':
    case 'fd':
      return text;
    case 'forkhold':
      return 'forkhold {child alive}';
    case 'fork':
      return 'fork {child}';
    case 'map':
      return `${text} -> B+${at}`;
    case 'remap':
      return `${text} -> B+${words[5] ?? at}`;
    case 'adv':
      // What is swapped out says so: the oracle makes swap space for a case that does.
      return text.endsWith('PAGEOUT')
        ? `${text} -> 0; pfn ${at} ${pages}: ${Array(Number(pages)).fill('swap').join(' ')}`
        : `${text} -> 0`;
    default:
      return `${text} -> 0`;
  }
}

const NAME = 'T';

/** Returns a row as a case that ends with the vmas of the model. */
export function caseOfRow(row: DecisionRow, index: number): Case {
  const steps = stepsOf(row.steps);
  const end = steps.some(([op]) => op === 'fork') ? ['endchild; {child exited}'] : [];
  const lines = [steps.map(withAnswer).join('; '), '=> (empty)', ...end];
  const text = `+ ${NAME}${index} ${row.nr} ${row.title}\n${lines.map((line) => `    ${line}\n`).join('')}`;
  const [parsed] = parseCaseFile(text);
  if (parsed === undefined) throw new Error(`row ${row.nr} makes no case`);
  const seen = runOnModel(parsed);
  return {
    ...parsed,
    steps: parsed.steps.map((step, i) => {
      const modelled = seen[i];
      return step.mark === '=>' && modelled !== undefined ? { ...step, expected: modelled } : step;
    }),
  };
}
