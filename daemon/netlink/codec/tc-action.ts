/**
 * What a filter does to a packet: TCA_ACT_* of <linux/pkt_cls.h> and what each kind adds, <linux/tc_act/*.h>.
 *
 * Actions are a list; each is a nest whose type is its place, from 1. Kinds without a schema here are `raw` and pass
 * through unharmed.
 *
 * @module
 */
import {
  attributesOf,
  type Field,
  NLA_F_NESTED,
  NLA_TYPE_MASK,
  raw,
  readFields,
  schema,
  sized,
  text,
  u16,
  u32,
  u8,
  type UnknownAttribute,
  type ValuesOf,
  writeAttribute,
  writeFields,
} from "./attribute.ts";
import { DecodeError, type Span, Writer } from "./wire.ts";

/** TC_ACT_*: what becomes of the packet after the action. */
export const TC_ACT = { UNSPEC: -1, OK: 0, RECLASSIFY: 1, SHOT: 2, PIPE: 3, STOLEN: 4 } as const;
/** TCA_EGRESS_* and TCA_INGRESS_* of <linux/tc_act/tc_mirred.h>: which way the packet goes on at the other device. */
export const MIRRED = { EGRESS_REDIR: 1, EGRESS_MIRROR: 2, INGRESS_REDIR: 3, INGRESS_MIRROR: 4 } as const;
/** TCA_TUNNEL_KEY_ACT_*. RELEASE also takes the packet's route away, so that it is looked up anew. */
export const TUNNEL_KEY = { SET: 1, RELEASE: 2 } as const;
/** PACKET_* of <linux/if_packet.h>. */
export const PACKET = { HOST: 0, BROADCAST: 1, MULTICAST: 2, OTHERHOST: 3, OUTGOING: 4 } as const;

/** `tc_gen`: what the parameters of every action begin with. */
export type ActionBase = {
  /** 0 in a request: the kernel gives one. Actions of one index are shared. */
  readonly index: number;
  readonly capabilities: number;
  /** `TC_ACT`. */
  readonly verdict: number;
  /** Counted by the kernel. */
  readonly references: number;
  readonly bindings: number;
};

/** `struct tc_mirred`. */
export type Mirred = ActionBase & {
  /** `MIRRED`. */
  readonly direction: number;
  /** Index of the other device. */
  readonly target: number;
};

/** `struct tc_tunnel_key`. */
export type TunnelKey = ActionBase & {
  /** `TUNNEL_KEY`. */
  readonly operation: number;
};

const BASE_BYTES = 20;

/** Parameters of `tc_gen` and so many integers behind it. */
function parameters<Value extends ActionBase>(
  type: number,
  words: readonly Exclude<keyof Value, keyof ActionBase>[],
): Field<Value> {
  return {
    type,
    write: (writer, value) => {
      writer.u32(value.index);
      writer.u32(value.capabilities);
      writer.i32(value.verdict);
      writer.i32(value.references);
      writer.i32(value.bindings);
      for (const word of words) writer.u32(Number(value[word]));
    },
    read: (span) => {
      const { view, start } = sized(span, BASE_BYTES + 4 * words.length);
      const base: ActionBase = {
        index: view.getUint32(start, true),
        capabilities: view.getUint32(start + 4, true),
        verdict: view.getInt32(start + 8, true),
        references: view.getInt32(start + 12, true),
        bindings: view.getInt32(start + 16, true),
      };
      const rest = words.map((word, at) => [word, view.getUint32(start + BASE_BYTES + 4 * at, true)]);
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- all words of `Value` but those of the base
      return { ...base, ...Object.fromEntries(rest) } as Value;
    },
  };
}

/** TCA_MIRRED_*. */
const MIRRED_OPTIONS = schema({ times: raw(1), parameters: parameters<Mirred>(2, ["direction", "target"]) });

/** TCA_SKBEDIT_*. */
const SKBEDIT_OPTIONS = schema({
  times: raw(1),
  parameters: parameters<ActionBase>(2, []),
  priority: u32(3),
  queue: u16(4),
  mark: u32(5),
  /** `PACKET`. */
  packetType: u16(7),
});

/** TCA_TUNNEL_KEY_*; of setting a key nothing is known here. */
const TUNNEL_KEY_OPTIONS = schema({
  times: raw(1),
  parameters: parameters<TunnelKey>(2, ["operation"]),
  noChecksum: u8(10),
});

const KINDS = { mirred: MIRRED_OPTIONS, skbedit: SKBEDIT_OPTIONS, tunnel_key: TUNNEL_KEY_OPTIONS } as const;

type Known = {
  [Kind in keyof typeof KINDS]: {
    readonly kind: Kind;
    readonly options: ValuesOf<(typeof KINDS)[Kind]>;
  };
}[keyof typeof KINDS];

/** A kind without a schema; no `name` where the message had none. */
type Raw = { readonly kind: "raw"; readonly name?: string; readonly data?: Uint8Array };

/** One action and, in answers, what was counted of it. */
export type Action = (Known | Raw) & {
  readonly index?: number;
  readonly stats?: Uint8Array;
  readonly flags?: Uint8Array;
  readonly unknown?: readonly UnknownAttribute[];
};

const OPTIONS = 2;
/** TCA_ACT_*. The flag NLA_F_NESTED is in what tc(8) sends, not in what the kernel needs. */
const ACTION = schema({
  name: text(1),
  data: raw(OPTIONS | NLA_F_NESTED),
  index: u32(3),
  stats: raw(4),
  flags: raw(7),
});
/** TCA_ACT_MAX_PRIO: more than this the kernel does not take. */
const ACTIONS_MAX = 32;

/** A list of actions, in their order. */
export function actions(type: number): Field<readonly Action[]> {
  return {
    type,
    write: (writer, list) =>
      list.forEach((action, at) =>
        writeAttribute(writer, at + 1, () => writeFields(writer, ACTION, flatten(action))),
      ),
    read: readActions,
  };
}

/** Places that are not 1, 2, 3 … would not be written back as they were. */
function readActions(span: Span): readonly Action[] {
  const nests = attributesOf(span);
  if (nests.length > ACTIONS_MAX)
    throw new DecodeError(`${nests.length} actions, more than ${ACTIONS_MAX}`, span.start);
  return nests.map(({ type, payload }, at) => {
    if ((type & NLA_TYPE_MASK) !== at + 1)
      throw new DecodeError(`action ${type & NLA_TYPE_MASK} at place ${at + 1}`, payload.start);
    return unflatten(readFields(payload, ACTION), optionsOf(payload));
  });
}

function flatten(action: Action): ValuesOf<typeof ACTION> {
  if (action.kind === "raw") {
    const { kind: _, ...rest } = action;
    return rest;
  }
  const { kind, options: _, ...rest } = action;
  const writer = new Writer();
  writeOptions(writer, action);
  return { name: kind, data: writer.take(), ...rest };
}

function writeOptions(writer: Writer, action: Known): void {
  switch (action.kind) {
    case "mirred":
      return writeFields(writer, MIRRED_OPTIONS, action.options);
    case "skbedit":
      return writeFields(writer, SKBEDIT_OPTIONS, action.options);
    case "tunnel_key":
      return writeFields(writer, TUNNEL_KEY_OPTIONS, action.options);
    default:
      return action satisfies never;
  }
}

function optionsOf(span: Span): Span | undefined {
  return attributesOf(span).findLast(({ type }) => (type & NLA_TYPE_MASK) === OPTIONS)?.payload;
}

function unflatten({ name, data, ...rest }: ValuesOf<typeof ACTION>, options: Span | undefined): Action {
  if (options !== undefined)
    switch (name) {
      case "mirred":
        return { kind: name, options: readFields(options, MIRRED_OPTIONS), ...rest };
      case "skbedit":
        return { kind: name, options: readFields(options, SKBEDIT_OPTIONS), ...rest };
      case "tunnel_key":
        return { kind: name, options: readFields(options, TUNNEL_KEY_OPTIONS), ...rest };
      default:
    }
  return { kind: "raw", ...(name !== undefined && { name }), ...(data && { data }), ...rest };
}
