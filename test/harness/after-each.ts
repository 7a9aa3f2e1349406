/**
 * Runs before each file of tests with a kernel (`setupFiles` of vitest.config.ts): after each test every simulated VPC that
 * the file has brought up must keep all promises of the cloud, so that no test can forget to look.
 *
 * @module
 */
import { afterEach } from "vitest";
import { brokenNow } from "./standing.ts";

afterEach(async () => {
  const broken = await brokenNow();
  if (broken.length > 0) throw new Error(`the simulated cloud is broken:\n${broken.join("\n")}`);
});
