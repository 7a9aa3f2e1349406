/**
 * Which limits of bandwidth a pod is to have, from what the runtime says of it in `runtimeConfig`:
 *
 * 1. `bandwidth`, the well-known capability (CNI CONVENTIONS.md): `ingressRate`, `ingressBurst`, `egressRate`, `egressBurst`,
 *    in bits and bits a second. containerd 1.6 writes them with a capital letter.
 * 2. `io.kubernetes.cri.pod-annotations`: `kubernetes.io/ingress-bandwidth` and `egress-bandwidth`, a quantity of Kubernetes
 *    in bits a second (`10M`).
 * 3. There too: `k8s.aliyun.com/ingress-bandwidth` and `egress-bandwidth`, bytes a second, `K`, `M`, `G`, `T` being powers of
 *    1024.
 *
 * Each direction is taken from the first place that names it.
 *
 * @module
 */
import { type Fault } from "../../../proto/fault.ts";
import { failed, ok, type Result } from "../../../proto/result.ts";
import { type Bandwidth, type Rate } from "../kernel.ts";

type Direction = "ingress" | "egress";
type Conf = Readonly<Record<string, unknown>>;

/** What Kubernetes itself allows, bits a second. */
const [RATE_MIN, RATE_MAX] = [1e3, 1e15];
/**
 * Bits. A runtime has no annotation for the burst, and writes the largest number that it knows: 2^32-1 (containerd) or more.
 * So that number and all above mean that nobody has asked for one.
 */
const BURST_UNASKED = 0xffffffff;
const ANNOTATIONS = "io.kubernetes.cri.pod-annotations";

/**
 * `config`: the network configuration as the runtime gave it, parsed. An empty result: no limit. The fault names the key and
 * says what to write.
 */
export function bandwidthRequest(config: unknown): Result<Bandwidth> {
  const runtime = objectAt(config, "runtimeConfig");
  if (runtime === undefined) return ok({});
  const given = runtime["bandwidth"] ?? {};
  if (!isConf(given))
    return refuse("runtimeConfig.bandwidth", given, "an object with ingressRate and egressRate");
  const annotations = objectAt(runtime, ANNOTATIONS) ?? {};
  const found: { ingress?: Rate; egress?: Rate } = {};
  for (const direction of ["ingress", "egress"] as const) {
    const rate = ofCapability(given, direction);
    if (!rate.ok) return rate;
    const limit = rate.value === undefined ? ofAnnotations(annotations, direction) : rate;
    if (!limit.ok) return limit;
    if (limit.value !== undefined) found[direction] = limit.value;
  }
  return ok(found);
}

function where(key: string): string {
  return `runtimeConfig.bandwidth.${key}`;
}

/** The runtime fills in zeros for the direction that nobody limits, so a rate of 0 counts only where it stands alone. */
function ofCapability(capability: Conf, direction: Direction): Result<Rate | undefined> {
  const [rateKey, rate] = memberOf(capability, `${direction}Rate`);
  const [burstKey, burst] = memberOf(capability, `${direction}Burst`);
  if (rate === undefined && burst === undefined) return ok(undefined);
  if (burst !== undefined && !isCount(burst))
    return refuse(where(burstKey), burst, "the burst in bits, a whole number from 0, such as 1000000");
  if (rate === undefined)
    return refuse(where(rateKey), rate, "a rate beside the burst: bits a second, such as 10000000");
  const isFiller = rate === 0 && (burst ?? 0) === 0 && hasRate(capability, other(direction));
  if (isFiller) return ok(undefined);
  if (!isCount(rate) || rate < RATE_MIN || rate > RATE_MAX)
    return refuse(where(rateKey), rate, "bits a second, a whole number from 1000 to 10^15, such as 10000000");
  const bits = burst === undefined || burst >= BURST_UNASKED ? 0 : burst;
  return ok({ bitsPerSecond: rate, burstBytes: Math.ceil(bits / 8) });
}

function hasRate(capability: Conf, direction: Direction): boolean {
  const [, rate] = memberOf(capability, `${direction}Rate`);
  return typeof rate === "number" && rate > 0;
}

function other(direction: Direction): Direction {
  return direction === "ingress" ? "egress" : "ingress";
}

function ofAnnotations(annotations: Conf, direction: Direction): Result<Rate | undefined> {
  const standard = `kubernetes.io/${direction}-bandwidth`;
  const own = `k8s.aliyun.com/${direction}-bandwidth`;
  if (annotations[standard] !== undefined)
    return ofText(
      standard,
      annotations[standard],
      quantity,
      'bits a second from 1k to 1P, such as "10M" for ten megabits a second',
    );
  if (annotations[own] !== undefined)
    return ofText(
      own,
      annotations[own],
      aliyunBits,
      'bytes a second, such as "10M" for ten mebibytes a second',
    );
  return ok(undefined);
}

function ofText(
  key: string,
  text: unknown,
  parse: (text: string) => number | undefined,
  wanted: string,
): Result<Rate | undefined> {
  const bits = typeof text === "string" ? parse(text.trim()) : undefined;
  if (bits === undefined || bits < RATE_MIN || bits > RATE_MAX)
    return refuse(`runtimeConfig["${ANNOTATIONS}"]["${key}"]`, text, wanted);
  return ok({ bitsPerSecond: bits, burstBytes: 0 });
}

const QUANTITY = /^\+?(\d+\.?\d*|\.\d+)(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,2}))?$/;
const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A quantity of Kubernetes (k8s.io/apimachinery, resource.Quantity), rounded up as `Value()` does. */
function quantity(text: string): number | undefined {
  const [, digits, suffix, exponent] = QUANTITY.exec(text) ?? [];
  if (digits === undefined) return undefined;
  const unit = suffix === undefined ? 10 ** Number(exponent ?? 0) : (SUFFIXES[suffix] ?? 1);
  return Math.ceil(Number(digits) * unit);
}

const ALIYUN = /^(\d+\.?\d*|\.\d+)(?:([KMGTkmgt])(?:[Ii]?B)?|B)?$/;

/** Bytes a second, as bits. */
function aliyunBits(text: string): number | undefined {
  const [, digits, suffix = ""] = ALIYUN.exec(text) ?? [];
  if (digits === undefined) return undefined;
  return Math.floor(Number(digits) * 1024 ** " KMGT".indexOf(suffix.toUpperCase() || " ")) * 8;
}

/** The member, whichever way its first letter is written, and the key as it was written. */
function memberOf(conf: Conf, key: string): readonly [key: string, value: unknown] {
  const capital = `${key.charAt(0).toUpperCase()}${key.slice(1)}`;
  return conf[key] === undefined && conf[capital] !== undefined ? [capital, conf[capital]] : [key, conf[key]];
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

function objectAt(value: unknown, key: string): Conf | undefined {
  const member = isConf(value) ? value[key] : undefined;
  return isConf(member) ? member : undefined;
}

function isConf(value: unknown): value is Conf {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(key: string, given: unknown, wanted: string): { readonly ok: false; readonly fault: Fault } {
  const what = given === undefined ? "is missing" : `is ${JSON.stringify(given)}`;
  return failed({ kind: "bad-config", key, reason: `${what}; wanted is ${wanted}` });
}
