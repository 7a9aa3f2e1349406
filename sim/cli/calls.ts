/**
 * `terway-sim calls`: what the cloud was asked, and what it thought of it.
 *
 * @module
 */
import * as z from "zod";
import { ok } from "../../proto/result.ts";
import { NAME_OPTION, simulatorOf } from "./name.ts";
import { askOperator } from "./operator-client.ts";
import { jsonText, OUTPUT_OPTION, wantsJson } from "./output.ts";
import { table } from "./table.ts";
import { type Verb } from "./verb.ts";

const counts = z.looseObject({
  calls: z.number(),
  refused: z.number(),
  throttled: z.number(),
  lost: z.number(),
});

/** The part of `GET /_sim/calls` that the tables show. */
export const callsView = z.looseObject({
  totals: z.record(z.string(), counts),
  seconds: z.array(counts.extend({ second: z.number(), action: z.string() })),
});
/** See `callsView`. */
export type CallsView = z.infer<typeof callsView>;

const SECONDS_SHOWN = 30;
const HEADER = ["CALLS", "REFUSED", "THROTTLED", "LOST"];

/** `calls [-o json]`. */
export const calls: Verb = {
  name: "calls",
  usage: "[--name N] [-o json]",
  summary: "show API calls and metadata reads per action and second: all, refused, throttled, lost",
  options: { ...NAME_OPTION, ...OUTPUT_OPTION },
  run: async (line) => {
    const json = wantsJson(line);
    if (!json.ok) return json;
    const record = await simulatorOf(line);
    if (!record.ok) return record;
    const answer = await askOperator(record.value.name, { method: "GET", path: "/_sim/calls" }, callsView);
    if (!answer.ok) return answer;
    return ok(json.value ? jsonText(answer.value) : callsText(answer.value));
  },
};

/** Totals, then the newest seconds; JSON has them all. */
export function callsText({ totals, seconds }: CallsView): string {
  const rows = Object.entries(totals).toSorted(([a], [b]) => a.localeCompare(b));
  if (rows.length === 0) return "no calls\n";
  const sums = table(
    ["ACTION", ...HEADER],
    rows.map(([action, row]) => [action, ...cells(row)]),
  );
  const times = table(
    ["SECOND (simulated)", "ACTION", ...HEADER],
    seconds.slice(-SECONDS_SHOWN).map((row) => [timeText(row.second), row.action, ...cells(row)]),
  );
  return `${sums}\n${times}`;
}

function cells({ calls, refused, throttled, lost }: z.infer<typeof counts>): readonly string[] {
  return [calls, refused, throttled, lost].map(String);
}

function timeText(second: number): string {
  return new Date(second * 1000).toISOString().replace(".000Z", "Z");
}
