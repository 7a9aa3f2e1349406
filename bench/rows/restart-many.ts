/**
 * The agent of a node with 250 pods stops, or is killed, and starts again, while one of them talks.
 *
 * @module
 */
import { pingStream } from "../../test/harness/traffic.ts";
import { type Container } from "../contender.ts";
import { type Row } from "../figures.ts";
import { type Lab, withLab } from "../lab.ts";
import { type Measure } from "../run.ts";
import { FULL_POOL, LARGE_NODE } from "../topology.ts";

const PODS = 250;
const ROW = `restart with ${PODS} pods`;
/** ADDs at the same time. */
const AT_ONCE = 25;
const PING_EVERY_MS = 5;

export const measureRestartMany: Measure = (run) =>
  withLab(
    run,
    FULL_POOL,
    async (lab) => {
      const rounds = run.quick ? 2 : 7;
      await lab.start();
      await lab.settled();
      const containers = await lab.containers(PODS);
      await addAll(lab, containers);
      const took: number[] = [];
      const lost: number[] = [];
      for (let round = 0; round < rounds; round++) {
        run.progress(`${round + 1} of ${rounds}`);
        const stream = pingStream(containers[0]?.netns ?? "", lab.gateway, PING_EVERY_MS);
        await lab.stop();
        took.push(await lab.start());
        const { sent, received } = await stream.stop();
        lost.push(sent - received);
      }
      const rows: Row[] = [
        { kind: "figure", row: ROW, what: "until SERVING", unit: "ms", samples: took },
        { kind: "figure", row: ROW, what: "packets lost meanwhile", unit: "messages", samples: lost },
      ];
      return rows;
    },
    LARGE_NODE,
  );

async function addAll(lab: Lab, containers: readonly Container[]): Promise<void> {
  for (let at = 0; at < containers.length; at += AT_ONCE) {
    const some = containers.slice(at, at + AT_ONCE);
    lab.run.progress(`${at} of ${containers.length} pods`);
    const ended = await Promise.allSettled(some.map((container) => lab.ours.exec("ADD", container)));
    for (const end of ended) if (end.status === "rejected") throw end.reason;
  }
}
