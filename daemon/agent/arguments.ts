/**
 * The command line of terwayd.
 *
 * @module
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  DEFAULT_CONFIG_DIR,
  DEFAULT_SECRET_DIR,
  DEFAULT_SOCKET,
  DEFAULT_STATE_DIR,
} from "../../proto/paths.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { LOG_LEVELS } from "./log.ts";

/** Hybrid mode: no cloud, addresses of the node's block. */
export type HybridArguments = {
  /** The file that describes the hybrid network. */
  readonly confPath: string;
  /** Of this node's record in it. */
  readonly nodeName: string;
};

export type Arguments = {
  readonly configDir: string;
  readonly secretDir: string;
  readonly stateDir: string;
  readonly socketPath: string;
  /** Where the plugin keeps DELs while no agent answers. */
  readonly spoolDir: string;
  /** What the kernel calls this boot. */
  readonly bootIdPath: string;
  /** Where the runtime keeps the results of ADDs. */
  readonly cniCacheDir: string;
  /** Where the runtime looks for its configuration; absent where somebody else puts it there. */
  readonly cniConfDir?: string;
  /** Where the node's root is; absent where its programs need not be kept from our links. */
  readonly hostRoot?: string;
  readonly hybrid?: HybridArguments;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  /** Give every ENI back, clean the node, end. */
  readonly drain: boolean;
  /** Read the configuration, say what is wrong with it, end. */
  readonly check: boolean;
  readonly help: boolean;
};

/** libcni's CacheDir. */
const CNI_CACHE_DIR = "/var/lib/cni";
const BOOT_ID_PATH = "/proc/sys/kernel/random/boot_id";

export const USAGE = `terwayd: gives ENI addresses to the pods of this node

  --config DIR      mounted ConfigMap eni-config: eni_conf, 10-terway.conf   (${DEFAULT_CONFIG_DIR})
  --secret-dir DIR  mounted Secret: access-key-id, access-key-secret         (${DEFAULT_SECRET_DIR})
  --state-dir DIR   where the database is kept                               (${DEFAULT_STATE_DIR})
  --socket PATH     where the CNI plugin finds the agent                     (${DEFAULT_SOCKET})
  --spool-dir DIR   where the CNI plugin keeps DELs while no agent answers   (spool in the state directory)
  --boot-id-file F  what the kernel calls this boot                          (${BOOT_ID_PATH})
  --cni-cache-dir D where the runtime keeps results of ADDs; read where the
                    database was lost                                        (${CNI_CACHE_DIR})
  --cni-conf-dir D  write 10-terway.conflist there when pods can be served   (not written)
  --host-root DIR   the node's root: drop-in files below it keep NetworkManager,
                    systemd-networkd and cloud-init from our links and ENIs  (not written)
  --hybrid-conf F   on premises: no cloud; addresses are of the node's block of the network that F
                    describes (docs/hybrid-configuration.md); of --config only 10-terway.conf is read
  --node-name NAME  with --hybrid-conf: which record of F is this node's
  --log-level L     ${LOG_LEVELS.join(", ")}                                 (info)
  --check           read the configuration, say what is wrong with it, end
  --drain           with no pod left: give every ENI back to the cloud, remove all that is ours from the node, end
  --help

Environment: ECS_ENDPOINT, VPC_ENDPOINT (URL or host of another API endpoint),
ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, ALIBABA_CLOUD_SECURITY_TOKEN.
`;

/** The fault is a sentence for standard error. */
export function parseArguments(argv: readonly string[]): Result<Arguments, string> {
  try {
    const { values } = parseArgs({
      args: [...argv],
      strict: true,
      allowPositionals: false,
      options: {
        config: { type: "string", default: DEFAULT_CONFIG_DIR },
        "secret-dir": { type: "string", default: DEFAULT_SECRET_DIR },
        "state-dir": { type: "string", default: DEFAULT_STATE_DIR },
        socket: { type: "string", default: DEFAULT_SOCKET },
        "spool-dir": { type: "string" },
        "boot-id-file": { type: "string", default: BOOT_ID_PATH },
        "cni-cache-dir": { type: "string", default: CNI_CACHE_DIR },
        "cni-conf-dir": { type: "string" },
        "host-root": { type: "string" },
        "hybrid-conf": { type: "string" },
        "node-name": { type: "string" },
        "log-level": { type: "string", default: "info" },
        check: { type: "boolean", default: false },
        drain: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    const logLevel = LOG_LEVELS.find((level) => level === values["log-level"]);
    if (logLevel === undefined)
      return failed(`--log-level ${values["log-level"]}: give one of ${LOG_LEVELS.join(", ")}`);
    const hybrid = hybridArguments(values["hybrid-conf"], values["node-name"]);
    if (!hybrid.ok) return hybrid;
    const cniConfDir = values["cni-conf-dir"];
    const hostRoot = values["host-root"];
    return ok({
      configDir: values.config,
      secretDir: values["secret-dir"],
      stateDir: values["state-dir"],
      socketPath: values.socket,
      spoolDir: values["spool-dir"] ?? join(values["state-dir"], "spool"),
      bootIdPath: values["boot-id-file"],
      cniCacheDir: values["cni-cache-dir"],
      ...(cniConfDir !== undefined && { cniConfDir }),
      ...(hostRoot !== undefined && { hostRoot }),
      ...(hybrid.value !== undefined && { hybrid: hybrid.value }),
      logLevel,
      drain: values.drain,
      check: values.check,
      help: values.help,
    });
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error));
  }
}

function hybridArguments(
  confPath: string | undefined,
  nodeName: string | undefined,
): Result<HybridArguments | undefined, string> {
  if (confPath === undefined)
    return nodeName === undefined
      ? ok(undefined)
      : failed("--node-name is for --hybrid-conf, which is missing");
  return nodeName === undefined || nodeName === ""
    ? failed("--hybrid-conf needs --node-name: which record of the file is this node's")
    : ok({ confPath, nodeName });
}

/** Why a user who is not root cannot run the agent; `undefined` for root, or where there are no user ids. */
export function rootRefusal(uid: number | undefined): string | undefined {
  return uid === 0 || uid === undefined
    ? undefined
    : "it configures the node's network and has to run as root";
}
