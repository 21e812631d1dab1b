import { defineConfig } from "vitest/config";

import { excalidraw } from "./build/excalidraw.js";

export default defineConfig({
  plugins: [excalidraw()],
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
    globalSetup: "../sdk/test/build-server.ts",
    sequence: { shuffle: true },
    testTimeout: 30_000, // on a machine that is busy with other tests
    maxWorkers: 2,
  },
});
