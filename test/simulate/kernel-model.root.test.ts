/** The kernel model against the real kernel: the same random operations on both, by the same port. */
import { beforeAll, describe, expect, it } from "vitest";
import { type Mac } from "../../proto/addr.ts";
import { ok } from "../../proto/result.ts";
import { sh } from "../../daemon/netlink/lab.ts";
import { type KernelModel, type KernelPort } from "./kernel-model.ts";
import { openModelled } from "./kernel-modelled.ts";
import { drawOperations, type KernelOperation, type Told } from "./kernel-operations.ts";
import { openRealKernel } from "./kernel-real.ts";

const SEEDS = [1, 2, 3] as const;
/** Of each seed. */
const OPERATIONS = 110;

type Recording = {
  readonly seed: number;
  readonly macs: readonly Mac[];
  readonly answers: readonly { readonly operation: KernelOperation; readonly said: unknown }[];
};

async function record(seed: number): Promise<Recording> {
  const answers: { readonly operation: KernelOperation; readonly said: unknown }[] = [];
  await using real = await openRealKernel();
  for (const operation of drawOperations(seed, OPERATIONS))
    answers.push({ operation, said: await real.play(operation) });
  return { seed, macs: real.macs, answers };
}

function isTold(said: unknown): said is Told {
  return typeof said === "object" && said !== null && "told" in said;
}

/** The first answer of the model that is another one than the kernel's, with what led there; `undefined`: none is. */
async function difference(
  { seed, macs, answers }: Recording,
  change?: (port: KernelPort, model: KernelModel) => KernelPort,
): Promise<string | undefined> {
  const modelled = await openModelled(macs, change);
  for (const [at, { operation, said }] of answers.entries()) {
    const says = await modelled(operation);
    // Who makes much noise is told of more.
    const isSame =
      isTold(said) && isTold(says)
        ? says.told.every((word) => said.told.includes(word))
        : JSON.stringify(said) === JSON.stringify(says);
    if (isSame) continue;
    const before = answers
      .slice(0, at)
      .map((each) => `${JSON.stringify(each.operation)} ${JSON.stringify(each.said)}`);
    return [
      `seed ${seed}`,
      ...before,
      `${JSON.stringify(operation)}: the kernel says ${JSON.stringify(said)}, the model ${JSON.stringify(says)}`,
    ].join("\n");
  }
  return undefined;
}

let recordings: readonly Recording[];

beforeAll(async () => {
  const made: Recording[] = [];
  for (const seed of SEEDS) made.push(await record(seed));
  recordings = made;
  expect(sh("ip netns").includes(`tw${process.pid}n`)).toBe(false);
});

/** By name: an answer that no kernel gives. */
const WRONG: Readonly<Record<string, (port: KernelPort, model: KernelModel) => KernelPort>> = {
  "traces of routes alone": (port, { passing }) => ({
    ...port,
    podTraces: async () =>
      ok(passing().flatMap(({ hostName, addresses }) => addresses.map((address) => ({ hostName, address })))),
  }),
  "CHECK that finds nothing": (port) => ({ ...port, checkPod: async () => ok([]) }),
  "an ENI that is never forgotten": (port) => ({ ...port, forgetEni: async () => ok(undefined) }),
  "a link that outlives its pod": (port, { tables }) => ({
    ...port,
    async detachPod(pod) {
      const link = tables.links.get(pod.hostName);
      const detached = await port.detachPod(pod);
      if (link !== undefined) tables.links.set(pod.hostName, link);
      return detached;
    },
  }),
  "changes that nobody is told of": (port) => ({
    ...port,
    watchDrift: () => port.watchDrift(() => undefined),
  }),
};

describe("openKernelModel()", () => {
  it("says what the kernel says", async () => {
    for (const recording of recordings) expect(await difference(recording)).toBeUndefined();
  });

  it.each(Object.entries(WRONG))("would be found wrong with %s", async (_, change) => {
    const found = await Promise.all(recordings.map((recording) => difference(recording, change)));
    expect(found.filter((text) => text !== undefined).join("\n")).toMatch(/the kernel says/);
  });
});
