/**
 * What an operator orders: a fault that stands, or an event that happens at once. Both have a `kind`.
 *
 * @module
 */
import { closest } from "fastest-levenshtein";
import * as z from "zod";
import { failed, ok, type Result } from "../../proto/result.ts";
import { eventSchema, type SimEvent, type SimEventInput } from "./events.ts";
import { type Fault, type FaultInput, faultSchema } from "./faults.ts";

/** As written by people. */
export type OrderInput = FaultInput | SimEventInput;
export type Order =
  | { readonly order: "fault"; readonly fault: Fault }
  | { readonly order: "event"; readonly event: SimEvent };

const EVENT_KINDS = kindsOf(eventSchema.options);
const FAULT_KINDS = kindsOf(faultSchema.options);

/** Every kind of fault and event. */
export const ORDER_KINDS: readonly string[] = [...FAULT_KINDS, ...EVENT_KINDS];

/** Reads an order. The failure is a sentence for people, with every wrong key. */
export function parseOrder(value: unknown): Result<Order, string> {
  const kind = z.looseObject({ kind: z.string() }).safeParse(value).data?.kind;
  if (kind === undefined) return failed(`a fault is an object with a kind; known: ${ORDER_KINDS.join(", ")}`);
  if (!ORDER_KINDS.includes(kind)) {
    const nearest = closest(kind, ORDER_KINDS);
    return failed(
      `unknown kind ${JSON.stringify(kind)}; did you mean "${nearest}"? Known: ${ORDER_KINDS.join(", ")}`,
    );
  }
  if (EVENT_KINDS.includes(kind)) {
    const event = eventSchema.safeParse(value);
    return event.success ? ok({ order: "event", event: event.data }) : failed(issuesText(event.error));
  }
  const fault = faultSchema.safeParse(value);
  return fault.success ? ok({ order: "fault", fault: fault.data }) : failed(issuesText(fault.error));
}

/** Every problem of a value, in one line: `times: …; foo: …`. */
export function issuesText(error: z.ZodError): string {
  return error.issues
    .map((issue) => (issue.path.length === 0 ? issue.message : `${issue.path.join(".")}: ${issue.message}`))
    .join("; ");
}

function kindsOf(
  options: readonly { readonly shape: { readonly kind: { readonly value: string } } }[],
): readonly string[] {
  return options.map((option) => option.shape.kind.value);
}
