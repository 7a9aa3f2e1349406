/**
 * Twenty ADDs at the same time on a pool that has an address for each, then twenty DELs; ours and the peers in turn.
 *
 * @module
 */
import { type Container, type Contender, openPeer } from "../contender.ts";
import { type Row } from "../figures.ts";
import { withLab } from "../lab.ts";
import { type Measure } from "../run.ts";

const PODS = 20;
const WARM = { idleMin: PODS, idleMax: PODS + 5, cooldown: "0s" };

/** Milliseconds from the first exec to the last answer. */
export const measureWarmAtOnce: Measure = (run) =>
  withLab(run, WARM, async (lab) => {
    const rounds = run.quick ? 2 : 5;
    await lab.start();
    const peers = await lab.namespace("peers");
    const contenders = [
      lab.ours,
      openPeer("ptp", lab.directory, peers),
      openPeer("bridge", lab.directory, peers),
    ].map((contender) => ({ contender, ADD: [] as number[], DEL: [] as number[] }));
    for (let round = 0; round < rounds; round++) {
      for (const { contender, ADD, DEL } of contenders) {
        run.signal.throwIfAborted();
        run.progress(`${contender.name}, round ${round + 1} of ${rounds}`);
        const containers = await lab.containers(PODS);
        if (contender === lab.ours) await lab.settled();
        ADD.push(await allAtOnce("ADD", contender, containers));
        DEL.push(await allAtOnce("DEL", contender, containers));
      }
    }
    return (["ADD", "DEL"] as const).map((command): Row => ({
      kind: "comparison",
      row: `${PODS} ${command} at once`,
      contenders: contenders.map((entry) => ({ name: entry.contender.name, samples: entry[command] })),
    }));
  });

async function allAtOnce(
  command: "ADD" | "DEL",
  contender: Contender,
  containers: readonly Container[],
): Promise<number> {
  const startedMs = performance.now();
  const ended = await Promise.allSettled(containers.map((container) => contender.exec(command, container)));
  const tookMs = performance.now() - startedMs;
  for (const end of ended) if (end.status === "rejected") throw end.reason;
  return tookMs;
}
