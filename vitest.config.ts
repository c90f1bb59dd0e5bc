/**
 * How the tests run: unit tests beside the sources, everything else in test/, benchmarks once on a tiny input.
 * `faultline/...` means the sources, so that no test can pass on a stale dist/.
 */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const src = fileURLToPath(new URL('./src', import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^faultline$/, replacement: `${src}/index.ts` },
      { find: /^faultline\/(mm|machine|replay|report|workloads)$/, replacement: `${src}/$1/index.ts` },
    ],
  },
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'bench/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
