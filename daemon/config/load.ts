/**
 * Reads the mounted ConfigMap `eni-config`, and what the environment overrides, and says everything that is wrong at once.
 *
 * @module
 */
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describeFault, remedyFor } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { parseEndpoint } from "../core/config/endpoint.ts";
import { type EniConf, parseEniConf } from "../core/config/eni-conf.ts";
import { formatProblems, type Parsed, type Problem } from "../core/config/problem.ts";
import { parseTerwayConf, type TerwayConf } from "../core/config/terway-conf.ts";
import { hostStackOf } from "../core/datapath/host-stack.ts";
import { HOST_STACK_MAX } from "../core/datapath/ipvlan-plan.ts";
import { wantsPairs } from "../core/ip-stack.ts";
import { type CredentialSource, staticCredentials } from "./credentials.ts";

/** `file` is the whole path; a variable's name where the environment is meant. */
export type FileProblem = Problem & { readonly file: string };

export type LoadedConfig = {
  /** With the endpoints of the environment where they are set. */
  readonly eni: EniConf;
  readonly cni: TerwayConf;
  readonly warnings: readonly FileProblem[];
  /** The warnings as a compiler would print them; empty where there are none. */
  readonly report: string;
  /** What calls are signed with unless it changes. Only the RAM role is named without having been asked. */
  readonly credentialsSource: CredentialSource;
};

/** The configuration cannot be used. */
export type ConfigFault = {
  readonly kind: "config";
  readonly problems: readonly FileProblem[];
  /** Problems, then warnings, as a compiler would print them. */
  readonly report: string;
};

export type LoadOptions = {
  readonly configDir: string;
  readonly secretDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
};

type Reading<Config> = {
  readonly config?: Config;
  readonly problems: readonly FileProblem[];
  readonly warnings: readonly FileProblem[];
  readonly report: { readonly problems: string; readonly warnings: string };
};

const ENDPOINTS = { ECS_ENDPOINT: "ecsEndpoint", VPC_ENDPOINT: "vpcEndpoint" } as const;

/** Never throws for what stands in the files; changes nothing. */
export async function loadConfig(options: LoadOptions): Promise<Result<LoadedConfig, ConfigFault>> {
  const { configDir, env } = options;
  const eni = await readConfig(join(configDir, "eni_conf"), parseEniConf);
  const cni = await readConfig(join(configDir, "10-terway.conf"), parseTerwayConf);
  const overrides = endpointsOf(env);
  const inline = eni.config?.inlineCredentials;
  const credentials = await staticCredentials({ ...options, ...(inline === undefined ? {} : { inline }) });
  const others = [
    ...overrides.problems,
    ...mtuProblem(configDir, eni.config, cni.config),
    ...hostStackProblem(configDir, eni.config, cni.config),
  ];
  if (!credentials.ok) {
    const { fault } = credentials;
    const message = fault.kind === "cloud" ? fault.message : describeFault(fault);
    others.push(
      unplaced(fault.kind === "cloud" ? fault.target : options.secretDir, message, remedyFor(fault)),
    );
  }
  const notes = await conflistNote(configDir);
  const warnings = [...eni.warnings, ...cni.warnings, ...notes];
  const warningReport = lines([
    eni.report.warnings,
    cni.report.warnings,
    ...notes.map(unplacedText("warning")),
  ]);
  const problems = [...eni.problems, ...cni.problems, ...others];
  if (problems.length > 0 || eni.config === undefined || cni.config === undefined || !credentials.ok) {
    const report = lines([
      eni.report.problems,
      cni.report.problems,
      ...others.map(unplacedText("error")),
      warningReport,
    ]);
    return failed({ kind: "config", problems, report });
  }
  return ok({
    eni: Object.freeze({ ...eni.config, ...overrides.endpoints }),
    cni: cni.config,
    warnings,
    report: warningReport,
    credentialsSource: credentials.value?.source ?? "RAM role of the instance",
  });
}

/**
 * `10-terway.conf` alone, for a node without a cloud. `report`: the warnings as a compiler would print them; empty where there
 * are none.
 */
export async function loadCniConfig(
  configDir: string,
): Promise<Result<{ readonly cni: TerwayConf; readonly report: string }, ConfigFault>> {
  const { config, problems, report } = await readConfig(join(configDir, "10-terway.conf"), parseTerwayConf);
  if (config !== undefined) return ok({ cni: config, report: report.warnings });
  return failed({ kind: "config", problems, report: lines([report.problems, report.warnings]) });
}

async function readConfig<Config>(
  path: string,
  parse: (text: string) => Parsed<Config>,
): Promise<Reading<Config>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    const problem = unplaced(
      path,
      `cannot be read: ${code}`,
      "mount the ConfigMap eni-config there, or give --config",
    );
    return {
      problems: [problem],
      warnings: [],
      report: { problems: unplacedText("error")(problem), warnings: "" },
    };
  }
  const parsed = parse(text);
  const source = { name: path, text };
  const problems = parsed.ok ? [] : parsed.problems;
  const reading = {
    problems: problems.map((problem) => ({ ...problem, file: path })),
    warnings: parsed.warnings.map((warning) => ({ ...warning, file: path })),
    report: {
      problems: formatProblems(source, problems),
      warnings: formatProblems(source, parsed.warnings, "warning"),
    },
  };
  return parsed.ok ? { ...reading, config: parsed.config } : reading;
}

function endpointsOf(env: LoadOptions["env"]) {
  const endpoints: { ecsEndpoint?: string; vpcEndpoint?: string } = {};
  const problems: FileProblem[] = [];
  for (const name of ["ECS_ENDPOINT", "VPC_ENDPOINT"] as const) {
    const text = env[name]?.trim() ?? "";
    if (text === "") continue;
    const endpoint = parseEndpoint(text);
    if (endpoint !== undefined) endpoints[ENDPOINTS[name]] = endpoint;
    else {
      const message = `the environment variable is ${JSON.stringify(text)}; a host or URL without a path is wanted`;
      problems.push(unplaced(name, message, "write it as ecs-vpc.cn-hangzhou.aliyuncs.com, or unset it"));
    }
  }
  return { endpoints, problems };
}

/** Other versions of Terway prefer a list of plugins where there is one. */
async function conflistNote(configDir: string): Promise<readonly FileProblem[]> {
  const path = join(configDir, "10-terway.conflist");
  try {
    await access(path);
  } catch {
    return [];
  }
  return [
    unplaced(
      path,
      "is for the runtime (--cni-conf-dir); the agent takes 10-terway.conf",
      "keep what concerns terway in both the same",
    ),
  ];
}

/** RFC 8200, section 5: a link of IPv6 carries 1280 bytes. The kernel takes IPv6 away from a device below that. */
const IPV6_MTU_MIN = 1280;

/** What the two files say to each other. */
function mtuProblem(
  configDir: string,
  eni: EniConf | undefined,
  cni: TerwayConf | undefined,
): readonly FileProblem[] {
  if (eni === undefined || cni === undefined || !wantsPairs(eni.ipStack)) return [];
  if (cni.mtuBytes === undefined || cni.mtuBytes >= IPV6_MTU_MIN) return [];
  const message = `mtu is ${cni.mtuBytes}, and ip_stack of eni_conf is ${eni.ipStack}: IPv6 needs ${IPV6_MTU_MIN} at least`;
  return [
    unplaced(
      join(configDir, "10-terway.conf"),
      message,
      `raise mtu to ${IPV6_MTU_MIN} or set ip_stack to ipv4`,
    ),
  ];
}

/** An ENI has so many filters, each of which every packet may pass. */
function hostStackProblem(
  configDir: string,
  eni: EniConf | undefined,
  cni: TerwayConf | undefined,
): readonly FileProblem[] {
  if (eni === undefined || cni?.virtualType !== "ipvlan") return [];
  const { length } = hostStackOf(eni.serviceCidrs, cni.hostStackCidrs);
  if (length <= HOST_STACK_MAX) return [];
  const message = `host_stack_cidrs and service_cidr of eni_conf name ${length} networks; with IPVlan ${HOST_STACK_MAX} at most are possible`;
  return [
    unplaced(
      join(configDir, "10-terway.conf"),
      message,
      "put networks together, or set eniip_virtual_type to Veth",
    ),
  ];
}

function unplaced(file: string, message: string, suggestion: string): FileProblem {
  return { file, line: 1, column: 1, length: 1, path: "", message, suggestion };
}

function unplacedText(severity: "error" | "warning"): (problem: FileProblem) => string {
  return ({ file, message, suggestion }) =>
    `${file}: ${severity}: ${message}${suggestion === undefined ? "" : `\n  = ${suggestion}`}`;
}

function lines(parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join("\n");
}
