/**
 * The demo's name, which its simulated network and all its namespaces begin with.
 *
 * @module
 */

/** A machine with so many kept demos has other troubles. */
const NAMES_MAX = 9;

/**
 * "twdemo", or "twdemo2" and so on where namespaces show that a demo of that name was kept (KEEP=1) or killed. Not touched,
 * because its pods may still run. `undefined` where all are taken.
 */
export function freeName(namespaces: readonly string[]): string | undefined {
  for (let number = 1; number <= NAMES_MAX; number += 1) {
    const name = number === 1 ? "twdemo" : `twdemo${number}`;
    if (!namespaces.some((namespace) => namespace.startsWith(`${name}-`))) return name;
  }
  return undefined;
}

/** What removes everything that a demo left whose processes are stopped. */
export function removalCommand(name: string): string {
  return `dist/bin/terway-sim down --name ${name}; ip netns list | grep -o '^${name}-[^ ]*' | xargs -n 1 ip netns delete`;
}

/** What ends the agents of a demo on premises and removes all that it left. `directory`: where temporary files are. */
export function removalOnPrem(name: string, directory: string): readonly string[] {
  return [
    `for n in $(ip netns list | grep -o '^${name}-[^ ]*'); do ip netns pids $n | xargs -r kill; ip netns delete $n; done`,
    `rm -r ${directory}/terway-${name}-*`,
  ];
}

/** Of a demo on premises, whose process has this number: any number of them may run at the same time. */
export function nameOnPrem(pid: number): string {
  return `twonprem${pid}`;
}

/** The names of demos on premises that were kept (KEEP=1) or killed: there are namespaces of them, but no process. */
export function leftOnPrem(
  namespaces: readonly string[],
  isAlive: (pid: number) => boolean,
): readonly string[] {
  const pids = namespaces.flatMap((namespace) => /^twonprem(\d+)-/.exec(namespace)?.[1] ?? []);
  return [...new Set(pids.map(Number))].filter((pid) => !isAlive(pid)).map(nameOnPrem);
}
