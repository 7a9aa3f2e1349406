/** That the simulation bites: bugs put in on purpose are found within a small part of what a CI run plays. */
import { describe, expect, it } from "vitest";
import { BUGS } from "./bugs.ts";
import { campaign } from "./campaign.ts";

/** Of 100,000 and more in a CI run. */
const OPERATIONS = 20_000;

describe("campaign()", () => {
  for (const [name, { variant, said }] of Object.entries(BUGS))
    it(`finds: ${name}`, async () => {
      const finding = await campaign({ seed: 1, operations: OPERATIONS, variant, shortenTries: 0 });
      expect(finding?.offence.text).toMatch(said);
    }, 120_000);
});
