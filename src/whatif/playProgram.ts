/**
 * Plays a program of ours in one lane, step by step: it is told what its machine answers.
 */
import type { ReplayOp } from '../replay/index.ts';
import type { Lane } from './lane.ts';
import { type ProgramRun, ProgramSteps, programOf } from './runInput.ts';

/** Plays `input` to its end. @param feed  hands an operation to the lane; somebody may look at it besides */
export function playProgram(
  input: ProgramRun,
  lane: Lane,
  feed: (item: ReplayOp) => void = (item) => lane.feed(item),
): void {
  lane.startProgram();
  const steps = new ProgramSteps(programOf(input));
  for (let item = steps.next(); item !== null; item = steps.next()) {
    feed(item);
    if (lane.outcome !== null) steps.took(lane.outcome);
  }
}
