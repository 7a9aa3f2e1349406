/** Two projects: "unit" needs no root and no network, "root" uses network namespaces of its own. */
import { defineConfig } from "vitest/config";
import { failureList } from "./test/report.ts";

export default defineConfig({
  test: {
    reporters: ["default", failureList],
    projects: [
      {
        test: {
          name: "unit",
          include: ["{cni,daemon,proto,sim,bench,pkg-config,test}/**/*.test.ts"],
          exclude: ["**/*.root.test.ts"],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "root",
          include: ["{cni,daemon,sim,test}/**/*.root.test.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
