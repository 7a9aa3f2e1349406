/**
 * RAM policies: who may call what. An explicit Deny wins over Allow, and what is not allowed is denied.
 *
 * @module
 */
import * as z from "zod";

const oneOrMore = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);

/** A policy document as the product documentation prints it. `Condition` is not supported and refused. */
export const ramPolicySchema = z.strictObject({
  Version: z.literal("1"),
  Statement: z
    .array(
      z.strictObject({
        Effect: z.enum(["Allow", "Deny"]),
        Action: oneOrMore,
        Resource: oneOrMore.default("*"),
      }),
    )
    .min(1),
});

type OneOrMore = string | readonly string[];

/** A checked policy. */
export type RamPolicy = {
  readonly Statement: readonly {
    readonly Effect: "Allow" | "Deny";
    readonly Action: OneOrMore;
    readonly Resource: OneOrMore;
  }[];
};

/** `ExplicitDeny` or `ImplicitDeny` are the words of `AccessDeniedDetail.NoPermissionType`. */
export type Verdict = "Allow" | "ExplicitDeny" | "ImplicitDeny";

/** Judges `action` (`"ecs:CreateNetworkInterface"`) on `resource` (`"acs:ecs:cn-hangzhou:1:eni/eni-1"`). */
export function judge(policy: RamPolicy, action: string, resource: string): Verdict {
  const effects = policy.Statement.filter(
    (statement) =>
      [statement.Action].flat().some((pattern) => globMatches(pattern.toLowerCase(), action.toLowerCase())) &&
      [statement.Resource].flat().some((pattern) => globMatches(pattern, resource)),
  ).map((statement) => statement.Effect);
  if (effects.includes("Deny")) return "ExplicitDeny";
  return effects.includes("Allow") ? "Allow" : "ImplicitDeny";
}

/** `*` stands for any run of characters, `?` for one. Linear in time but for the last star's retries. */
export function globMatches(pattern: string, text: string): boolean {
  let [p, t, star, mark] = [0, 0, -1, 0];
  while (t < text.length) {
    const wanted = pattern[p];
    if (wanted === "*") {
      star = p++;
      mark = t;
    } else if (wanted === "?" || wanted === text[t]) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(p));
}
