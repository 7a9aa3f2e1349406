/**
 * A reporter of vitest that appends a line for each test that failed to the file $TEST_FAILURES: the end of a long output
 * is what a person sees first, and all that some CI systems keep.
 *
 * @module
 */
import { appendFileSync } from "node:fs";
import { type Reporter } from "vitest/node";

/** Of a message: its first line, and no more than this of it. */
const MESSAGE_CHARACTERS = 200;

type Failures = readonly { readonly message: string }[];

export const failureList: Reporter = {
  onTestCaseResult(test) {
    const result = test.result();
    if (result.state === "failed") append(`${test.module.relativeModuleId}: ${test.fullName}`, result.errors);
  },
  /** What failed outside of a test: an import, a hook. */
  onTestModuleEnd(module) {
    append(`${module.relativeModuleId}: (the file)`, module.errors());
    for (const suite of module.children.allSuites())
      append(`${module.relativeModuleId}: ${suite.fullName}`, suite.errors());
  },
};

function append(what: string, errors: Failures): void {
  const file = process.env["TEST_FAILURES"];
  const [first] = errors;
  if (file === undefined || first === undefined) return;
  const [message = ""] = first.message.split("\n", 1);
  appendFileSync(file, `${what}: ${message.slice(0, MESSAGE_CHARACTERS)}\n`);
}
