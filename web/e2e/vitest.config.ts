import { defineConfig } from "vitest/config";

/** The mode is the directory to run: test, bench or screenshots. */
export default defineConfig(({ mode }) => ({
  test: {
    include: [`${mode}/*.ts`],
    globalSetup: "build.ts",
    sequence: { shuffle: mode === "test" },
    testTimeout: 60_000, // on a machine that is busy with other tests
    hookTimeout: 60_000,
    maxWorkers: mode === "test" ? 2 : 1,
  },
}));
