/**
 * The cloud fails for minutes or an hour, in time that passes faster: four storms, each on a cloud of its own, side by side
 * because they mostly wait.
 *
 * @module
 */
import { describe, it } from "vitest";
import { STORM_MINUTES } from "./bed.ts";
import { exhausted } from "./exhausted.ts";
import { metadata } from "./metadata.ts";
import { outage } from "./outage.ts";
import { throttled } from "./throttled.ts";

const timeout = STORM_MINUTES * 60_000 + 240_000;

describe.concurrent("the cloud", () => {
  it("cannot be reached for an hour", { timeout }, ({ expect }) => outage(expect));
  it("throttles hard", { timeout }, ({ expect }) => throttled(expect));
  it("has no address for a quarter of an hour", { timeout }, ({ expect }) => exhausted(expect));
  it("has no metadata service, then a stale one", { timeout }, ({ expect }) => metadata(expect));
});
