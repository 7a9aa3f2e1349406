/**
 * Paths and names that more than one program says, each written once.
 *
 * @module
 */

/** Version of the contract in agent.proto. The agent accepts this one and the one before. */
export const PROTOCOL = 1;

/** Where the agent listens. Its directory is mode 0700, so only root can connect. */
export const DEFAULT_SOCKET = "/var/run/terway/agent.sock";

/** The mounted ConfigMap `eni-config`: files `eni_conf` and `10-terway.conf`. */
export const DEFAULT_CONFIG_DIR = "/etc/eni";

/** The mounted Secret `alibaba-addon-secret`: files `access-key-id` and `access-key-secret`. */
export const DEFAULT_SECRET_DIR = "/var/alibaba-addon-secret";

/** Where the agent keeps its database. */
export const DEFAULT_STATE_DIR = "/var/lib/terway";

/** Trailer that carries the encoded `Fault` message beside a gRPC status (agent.proto). */
export const FAULT_TRAILER = "terway-fault-bin";

/** Key in the CNI configuration that names another agent socket. */
export const SOCKET_CONFIG_KEY = "agent_socket";

/** Where the plugin keeps DELs that it could not tell the agent. */
export const DEFAULT_SPOOL_DIR = "/var/lib/terway/spool";

/** Key in the CNI configuration that names another spool directory. */
export const SPOOL_CONFIG_KEY = "spool_dir";

/**
 * Trailer of an AddReply: milliseconds by phase, in the form of the Server-Timing header (W3C Server Timing, section 2):
 * "wait;dur=0.1, store;dur=0.3, netlink;dur=1.2, total;dur=1.8".
 */
export const TIMING_TRAILER = "terway-timing";
