/**
 * In place of `daemon/rpc/server.ts` for the agent: an answer is counted when it is known, and when it has gone.
 *
 * @module
 */
import { type AgentApi, openRpcServer as open, type RpcOptions } from "../../../daemon/rpc/server.ts";
import { point } from "./point.ts";

export type { AgentApi };

/** Later than the answer has left, by all experience. */
const GONE_MS = 10;

export const openRpcServer: typeof open = (options: RpcOptions) => {
  const { api } = options;
  return open({
    ...options,
    api: {
      ...api,
      add: (call) => counted("ADD", api.add(call)),
      del: (call) => counted("DEL", api.del(call)),
    },
  });
};

async function counted<Value>(command: string, answer: Promise<Value>): Promise<Value> {
  const value = await answer;
  point(`answer: of ${command} is known`);
  setTimeout(() => point(`answer: of ${command} has gone`), GONE_MS);
  return value;
}
