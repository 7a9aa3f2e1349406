/**
 * `terway-sim fault`: the cloud does wrong, as told.
 *
 * @module
 */
import * as z from "zod";
import { failed, ok, type Result } from "../../proto/result.ts";
import { ORDER_KINDS, parseOrder } from "../model/orders.ts";
import { NAME_OPTION, simulatorOf } from "./name.ts";
import { askOperator, type OperatorRequest } from "./operator-client.ts";
import { type CommandLine, unknownWord } from "./options.ts";
import { jsonText, OUTPUT_OPTION, wantsJson } from "./output.ts";
import { table } from "./table.ts";
import { usageFailure, type Verb, type VerbFailure } from "./verb.ts";

const faultsView = z.object({ faults: z.array(z.looseObject({ id: z.string(), kind: z.string() })) });
const orderView = z.object({ id: z.string().optional(), eni: z.string().optional() });
const availableView = z.object({ available: z.number() });
const latenciesView = z.record(z.string(), z.object({ minMs: z.number(), maxMs: z.number() }));

type Node = { readonly node: string; readonly instance: string };
type Ask = <Answer>(
  request: OperatorRequest,
  schema: z.ZodType<Answer>,
) => Promise<Result<Answer, VerbFailure>>;
type Answered = Promise<Result<string, VerbFailure>>;

/** One thing that `fault` can do. */
type Deed = {
  readonly usage: string;
  readonly run: (words: readonly string[], ask: Ask, nodes: readonly Node[], json: boolean) => Answered;
};

const DEEDS: Readonly<Record<string, Deed>> = {
  add: { usage: "add KIND [KEY=VALUE…]", run: add },
  list: { usage: "list [-o json]", run: (_words, ask, _nodes, json) => list(ask, json) },
  clear: { usage: "clear [ID…]", run: clear },
  drain: { usage: "drain VSWITCH [leave=N]", run: drain },
  refill: { usage: "refill VSWITCH", run: refill },
  latency: { usage: "latency [NAME MIN_MS MAX_MS]", run: latency },
};

/** `fault add|list|clear|drain|refill|latency …`. */
export const fault: Verb = {
  name: "fault",
  usage: `[--name N] ${Object.values(DEEDS)
    .map(({ usage }) => usage)
    .join(" | ")}\nkinds: ${ORDER_KINDS.join(", ")}`,
  summary: "make the cloud fail: lost replies, errors, delays, empty vSwitches, …",
  options: { ...NAME_OPTION, ...OUTPUT_OPTION },
  run: async (line: CommandLine) => {
    const json = wantsJson(line);
    if (!json.ok) return json;
    const [word, ...words] = line.positionals;
    if (word === undefined) return usageFailure("fault needs to know what to do");
    const deed = Object.hasOwn(DEEDS, word) ? DEEDS[word] : undefined;
    if (deed === undefined) return usageFailure(unknownWord("word after fault", word, Object.keys(DEEDS)));
    const record = await simulatorOf(line);
    if (!record.ok) return record;
    const { name, nodes } = record.value;
    return deed.run(words, (request, schema) => askOperator(name, request, schema), nodes, json.value);
  },
};

async function add(words: readonly string[], ask: Ask, nodes: readonly Node[]): Answered {
  const body = orderOf(words, nodes);
  if (!body.ok) return usageFailure(body.fault);
  const done = await ask({ method: "POST", path: "/_sim/faults", body: body.value }, orderView);
  if (!done.ok) return done;
  const { id, eni } = done.value;
  return ok(`${[id ?? "done", eni].filter((part) => part !== undefined).join(": ")}\n`);
}

/**
 * The order that `KIND KEY=VALUE…` stands for. An instance can be given by the name of its node. The fault is a
 * sentence.
 */
export function orderOf(words: readonly string[], nodes: readonly Node[]): Result<unknown, string> {
  const [kind, ...pairs] = words;
  if (kind === undefined) return failed(`fault add needs a kind; known: ${ORDER_KINDS.join(", ")}`);
  const order: Record<string, unknown> = { kind };
  for (const pair of pairs) {
    const end = pair.indexOf("=");
    if (end < 1) return failed(`${JSON.stringify(pair)} is not of the form KEY=VALUE`);
    const key = pair.slice(0, end);
    const text = pair.slice(end + 1);
    const instance = key === "instance" ? nodes.find(({ node }) => node === text)?.instance : undefined;
    order[key] = instance ?? valueOf(text);
  }
  const parsed = parseOrder(order);
  return parsed.ok ? ok(order) : parsed;
}

/** Numbers, `true`, `false` and lists as in JSON, anything else as text. */
function valueOf(text: string): unknown {
  if (!/^(?:-?\d|\[|true$|false$)/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function list(ask: Ask, json: boolean): Answered {
  const answer = await ask({ method: "GET", path: "/_sim/faults" }, faultsView);
  if (!answer.ok) return answer;
  const { faults } = answer.value;
  if (json) return ok(jsonText(answer.value));
  if (faults.length === 0) return ok("no faults\n");
  const rows = faults.map(({ id, kind, ...rest }) => [
    id,
    kind,
    Object.entries(rest)
      .filter(([, value]) => value !== undefined && value !== null)
      .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`)
      .join(" "),
  ]);
  return ok(table(["ID", "KIND", ""], rows));
}

async function clear(ids: readonly string[], ask: Ask): Answered {
  const paths =
    ids.length === 0 ? ["/_sim/faults"] : ids.map((id) => `/_sim/faults/${encodeURIComponent(id)}`);
  for (const path of paths) {
    const done = await ask({ method: "DELETE", path }, z.unknown());
    if (!done.ok) return done;
  }
  return ok(ids.length === 0 ? "no faults any more\n" : `${ids.join(", ")} cleared\n`);
}

async function drain(words: readonly string[], ask: Ask): Answered {
  const [vSwitch, leave = "leave=0", ...more] = words;
  const count = /^leave=(\d{1,6})$/.exec(leave)?.[1];
  if (vSwitch === undefined || count === undefined || more.length > 0) {
    return usageFailure("give a vSwitch, and leave=N for the addresses that can still be had");
  }
  return poolAnswer(vSwitch, ask, {
    method: "POST",
    path: vSwitchPath(vSwitch, "drain"),
    body: { leave: Number(count) },
  });
}

async function refill(words: readonly string[], ask: Ask): Answered {
  const [vSwitch, ...more] = words;
  if (vSwitch === undefined || more.length > 0) return usageFailure("give one vSwitch");
  return poolAnswer(vSwitch, ask, { method: "POST", path: vSwitchPath(vSwitch, "refill") });
}

function vSwitchPath(vSwitch: string, deed: string): string {
  return `/_sim/vswitches/${encodeURIComponent(vSwitch)}/${deed}`;
}

async function poolAnswer(vSwitch: string, ask: Ask, request: OperatorRequest): Answered {
  const done = await ask(request, availableView);
  return done.ok ? ok(`${vSwitch}: ${done.value.available} addresses can be had\n`) : done;
}

/** Without words: how slow the cloud is. */
async function latency(words: readonly string[], ask: Ask): Answered {
  const path = "/_sim/latencies";
  const [name, min = "", max = "", ...more] = words;
  const [minMs, maxMs] = [Number(min), Number(max)];
  if (name !== undefined && (![min, max].every((text) => /^\d+$/.test(text)) || more.length > 0)) {
    return usageFailure(
      "give a name and two numbers of milliseconds: terway-sim fault latency attachLink 1000 2500",
    );
  }
  const current = await ask({ method: "GET", path }, latenciesView);
  if (!current.ok || name === undefined) return current.ok ? ok(latencyTable(current.value)) : current;
  const names = Object.keys(current.value);
  if (!names.includes(name)) return usageFailure(unknownWord("latency", name, names));
  const done = await ask({ method: "POST", path, body: { [name]: { minMs, maxMs } } }, latenciesView);
  return done.ok ? ok(latencyTable(done.value)) : done;
}

function latencyTable(latencies: z.infer<typeof latenciesView>): string {
  return table(
    ["LATENCY", "MIN_MS", "MAX_MS"],
    Object.entries(latencies).map(([name, { minMs, maxMs }]) => [name, String(minMs), String(maxMs)]),
  );
}
