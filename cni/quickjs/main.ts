/**
 * The CNI plugin `terway` under QuickJS.
 *
 * @module
 */
import { runPlugin, type Host } from "./host.ts";

declare const host: Host;

const { exit, stdout, stderr } = runPlugin(host);
host.end(exit, stdout, stderr);
