/**
 * The agent's log: JSON lines on standard error (pino). A fixed message, facts as fields, the same field names
 * everywhere: `attachment`, `pod`, `eni`, `slot`, `address`, `fault`, `tookMs`.
 *
 * @module
 */
import { destination, type Logger, pino, stdTimeFunctions } from "pino";

/** info: something changed. debug: why. warn: it will be retried. error: a person must act. */
export type Log = Logger;

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

export function openLog(level: (typeof LOG_LEVELS)[number]): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: ["*.accessKeySecret", "*.securityToken", "accessKeySecret", "securityToken"],
    },
    destination({ fd: 2, sync: true }),
  );
}
