/**
 * The CNI plugin `terway` under Node.
 *
 * @module
 */
import { nodeInput, report, runPlugin } from "./node-host.ts";

process.exitCode = report(await runPlugin(nodeInput));
