import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "build.ts",
    sequence: { shuffle: true },
    testTimeout: 60_000, // on a machine that is busy with other tests
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
