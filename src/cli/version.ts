/**
 * What every report says about itself: our version and the kernel that is modelled.
 */
import { readFileSync } from 'node:fs';

/** Name of the kernel release that the model is held against; also the name of its profile. */
export const KERNEL_MODELLED = 'linux-6.18';

/** Returns the version in package.json. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
