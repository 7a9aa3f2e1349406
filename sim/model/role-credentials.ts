/**
 * Temporary credentials of the instances' RAM role.
 *
 * @module
 */
import { ALNUM } from "./random.ts";
import { type RoleSession, type World } from "./world.ts";

/** What a signature is checked against. */
export type KnownCredential = {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly securityToken: string | undefined;
  readonly expiresMs: number | undefined;
  /** A key of the topology's policies. */
  readonly policy: string;
};

const MOST_SESSIONS = 8;

/** The credentials with this key id: the topology's, or those of a session of the role, expired or not. */
export function findCredential(world: World, accessKeyId: string): KnownCredential | undefined {
  const { credentials, ramRole } = world.topology;
  const fixed = credentials.find((credential) => credential.accessKeyId === accessKeyId);
  if (fixed !== undefined) return { ...fixed, securityToken: fixed.securityToken, expiresMs: undefined };
  const session = world.roleSessions.find((candidate) => candidate.accessKeyId === accessKeyId);
  if (ramRole === undefined || session === undefined) return undefined;
  return { ...session, policy: ramRole.policy };
}

/** The role's credentials; new ones where fewer than a tenth of their life is left. */
export function currentSession(world: World, wallMs: number): RoleSession {
  const life = world.topology.limits.roleSessionMs;
  const session = world.roleSessions.at(-1);
  if (session !== undefined && session.expiresMs - wallMs > life / 10) return session;
  const { random } = world;
  const fresh = {
    accessKeyId: `STS.${random.text(25, ALNUM)}`,
    accessKeySecret: random.text(44, ALNUM),
    securityToken: `CAIS${random.text(120, ALNUM)}`,
    expiresMs: wallMs + life,
  };
  world.roleSessions = [...world.roleSessions.slice(1 - MOST_SESSIONS), fresh];
  return fresh;
}

/** Every session that was given out ends now; the metadata service gives out a new one. */
export function expireSessions(world: World): void {
  world.roleSessions = world.roleSessions.map((session) => ({ ...session, expiresMs: 0 }));
}
