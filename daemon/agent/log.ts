/**
 * The agent's log: JSON lines on standard error (pino). A fixed message, facts as fields, the same field names
 * everywhere: `attachment`, `pod`, `eni`, `slot`, `address`, `fault`, `tookMs`.
 *
 * @module
 */
import { type Logger, pino, stdTimeFunctions } from "pino";
import { openErrorSink } from "./log-sink.ts";

/** info: something changed. debug: why. warn: it will be retried. error: a person must act. */
export type Log = Logger;

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

/**
 * Lines of one turn of the event loop are written together, at its end; `flush` writes them at once. None is lost where the
 * process ends in between, by `process.exit` or by an exception that nobody caught; and nobody waits for a reader that does
 * not read.
 */
export function openLog(level: (typeof LOG_LEVELS)[number]): Log {
  const sink = openErrorSink();
  if (level !== "silent") process.once("exit", sink.end);
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: ["*.accessKeySecret", "*.securityToken", "accessKeySecret", "securityToken"],
    },
    // pino calls its `flush` where it is told to flush.
    sink,
  );
}
