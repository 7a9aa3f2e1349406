/**
 * Three projects: "unit" needs no root and no network, "root" uses network namespaces of its own, "uml" is run by a test of
 * "root" on another kernel (test/uml/guest-tests.root.test.ts).
 */
import { defineConfig } from "vitest/config";
import { failureList } from "./test/report.ts";

/** What every test with a kernel ends with. */
const AFTER_EACH = "test/harness/after-each.ts";

export default defineConfig({
  test: {
    reporters: ["default", failureList],
    projects: [
      {
        test: {
          name: "unit",
          include: ["{cni,daemon,proto,sim,bench,pkg-config,test}/**/*.test.ts"],
          exclude: ["**/*.root.test.ts", "**/*.uml.test.ts"],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "root",
          include: ["{cni,daemon,sim,bench,test}/**/*.root.test.ts"],
          setupFiles: [AFTER_EACH],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "uml",
          include: ["{cni,daemon,sim,test}/**/*.uml.test.ts"],
          setupFiles: [AFTER_EACH],
          fileParallelism: false,
          // A process more costs a second there.
          pool: "threads",
          isolate: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
