/**
 * All lines of the checklist in their order, and the choice among them.
 *
 * @module
 */
import { ADD_LINES } from "./lines-add.ts";
import { ADD_FAILURE_LINES } from "./lines-add-failure.ts";
import { CHECK_LINES } from "./lines-check.ts";
import { DEL_LINES } from "./lines-del.ts";
import { ENVIRONMENT_LINES } from "./lines-environment.ts";
import { GC_LINES } from "./lines-gc.ts";
import { INPUT_LINES } from "./lines-input.ts";
import { PROCESS_LINES } from "./lines-process.ts";
import { RESULT_LINES } from "./lines-result.ts";
import { STATUS_LINES } from "./lines-status.ts";
import { type Line } from "./trial.ts";

export const ALL_LINES: readonly Line[] = [
  ...ENVIRONMENT_LINES,
  ...INPUT_LINES,
  ...PROCESS_LINES,
  ...ADD_LINES,
  ...ADD_FAILURE_LINES,
  ...DEL_LINES,
  ...CHECK_LINES,
  ...STATUS_LINES,
  ...GC_LINES,
  ...RESULT_LINES,
];

/** The sections by the first letter of an id. */
export const SECTIONS: Readonly<Record<string, string>> = {
  E: "Environment, input, process",
  A: "ADD",
  D: "DEL",
  C: "CHECK",
  S: "STATUS",
  G: "GC",
  R: "Result",
  L: "List",
};

function looksBack({ id }: Line): boolean {
  return id === "E14" || id === "E15";
}

/** E14 and E15 look at all runs, so they come last. */
export function inOrderOfRunning(lines: readonly Line[]): readonly Line[] {
  return [...lines.filter((line) => !looksBack(line)), ...lines.filter(looksBack)];
}

/** "E4,D1", also whole sections: "E,D". Throws with a sentence where a name is unknown. */
export function chooseLines(names: string): readonly Line[] {
  const wanted = names.split(",").map((name) => name.trim().toUpperCase());
  const unknown = wanted.filter((name) => !(name in SECTIONS) && !ALL_LINES.some(({ id }) => id === name));
  if (unknown.length > 0)
    throw new Error(
      `there is no line ${unknown.join(", ")}; they are ${ALL_LINES.map(({ id }) => id).join(" ")}`,
    );
  return ALL_LINES.filter(({ id }) => wanted.includes(id) || wanted.includes(id.charAt(0)));
}
