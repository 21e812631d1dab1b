import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/build-server.ts",
    sequence: { shuffle: true },
    testTimeout: 30_000, // on a machine that is busy with other tests
    maxWorkers: 2,
  },
});
