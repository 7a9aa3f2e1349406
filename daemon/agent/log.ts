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

/** Written at the latest when so much has come together. */
const BUFFER_BYTES = 8192;

/**
 * Lines of one turn of the event loop are written together, at its end; `flush` writes them at once. None is lost where the
 * process ends in between, by `process.exit` or by an exception that nobody caught.
 */
export function openLog(level: (typeof LOG_LEVELS)[number]): Log {
  const stream = destination({ fd: 2, sync: true, minLength: BUFFER_BYTES });
  let scheduled = false;
  const flush = (): void => {
    scheduled = false;
    stream.flushSync();
  };
  const write = (line: string): void => {
    stream.write(line);
    if (scheduled) return;
    scheduled = true;
    setImmediate(flush);
  };
  if (level !== "silent") process.once("exit", flush);
  // pino calls its `flush` where it is told to flush.
  const together = { write, flush };
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: ["*.accessKeySecret", "*.securityToken", "accessKeySecret", "securityToken"],
    },
    together,
  );
}
