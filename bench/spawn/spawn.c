/*
 * Executes programs and says how long each took, with little cost of its own and the same for all.
 *
 * spawn in-turn PAUSE_MS   one after the other, with a pause before each
 * spawn at-once            all at once: each is started as soon as the one before is executed
 *
 * Standard input: one program a line, fields separated by tabs:
 *   NETWORK_NAMESPACE  STDIN_FILE  PROGRAM  ARGUMENT...  --  NAME=VALUE...
 * Standard output: one JSON object for each, in the order of the input. Times are of CLOCK_MONOTONIC in microseconds: before
 * the process is made, and when it was reaped. What a program wrote goes to standard error where its status is not 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROGRAMS_MAX = 1024, FIELDS_MAX = 64, LINE_MAX_BYTES = 1 << 16 };

struct program {
  char *netns;
  char *standard_input;
  char **argv;
  char **env;
  int output;
  pid_t pid;
  long long started_us;
  long long ended_us;
  int status;
  long peak_kb;
};

static struct program programs[PROGRAMS_MAX];
static char line[LINE_MAX_BYTES];

static void die(const char *what) {
  fprintf(stderr, "spawn: %s: %s\n", what, strerror(errno));
  exit(2);
}

static long long now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void parse(struct program *program) {
  char **fields = calloc(FIELDS_MAX, sizeof *fields);
  char *rest = strdup(line);
  int count = 0;
  if (fields == NULL || rest == NULL) die("memory");
  for (char *field; (field = strsep(&rest, "\t")) != NULL;) {
    if (count == FIELDS_MAX - 1) die("a line with too many fields");
    fields[count++] = field;
  }
  int end = 2;
  while (end < count && strcmp(fields[end], "--") != 0) end++;
  if (end == count || end == 2) die("a line without a program or without --");
  fields[end] = NULL;
  program->netns = fields[0];
  program->standard_input = fields[1];
  program->argv = &fields[2];
  program->env = &fields[end + 1];
  program->output = memfd_create("output", MFD_CLOEXEC);
  if (program->output < 0) die("memfd_create");
}

static void enter(const char *netns) {
  static const char *current = "";
  if (strcmp(netns, current) == 0) return;
  int namespace = open(netns, O_RDONLY | O_CLOEXEC);
  if (namespace < 0 || setns(namespace, CLONE_NEWNET) < 0) die(netns);
  close(namespace);
  current = netns;
}

static void start(struct program *program) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, program->standard_input, O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, program->output, 1);
  posix_spawn_file_actions_adddup2(&files, program->output, 2);
  program->started_us = now_us();
  errno = posix_spawn(&program->pid, program->argv[0], &files, NULL, program->argv, program->env);
  if (errno != 0) die(program->argv[0]);
  posix_spawn_file_actions_destroy(&files);
}

static void reap(struct program *from, int count, pid_t which) {
  struct rusage usage;
  int status;
  pid_t pid = wait4(which, &status, 0, &usage);
  long long ended_us = now_us();
  if (pid < 0) die("wait4");
  for (int at = 0; at < count; at++) {
    if (from[at].pid != pid) continue;
    from[at].ended_us = ended_us;
    from[at].status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    from[at].peak_kb = usage.ru_maxrss;
  }
}

static void pause_ms(long ms) {
  struct timespec length = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&length, &length) < 0 && errno == EINTR) {
  }
}

static void show_output(const struct program *program) {
  ssize_t got;
  lseek(program->output, 0, SEEK_SET);
  while ((got = read(program->output, line, sizeof line)) > 0)
    if (write(2, line, got) < 0) return;
}

int main(int argc, char **argv) {
  int at_once = argc == 2 && strcmp(argv[1], "at-once") == 0;
  int in_turn = argc == 3 && strcmp(argv[1], "in-turn") == 0;
  if (!at_once && !in_turn) {
    fprintf(stderr, "usage: spawn at-once | in-turn PAUSE_MS\n");
    return 2;
  }
  int count = 0;
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (count == PROGRAMS_MAX) die("too many programs");
    line[strcspn(line, "\n")] = '\0';
    parse(&programs[count++]);
  }
  for (int at = 0; at < count; at++) {
    enter(programs[at].netns);
    if (in_turn) pause_ms(atol(argv[2]));
    start(&programs[at]);
    if (in_turn) reap(&programs[at], 1, programs[at].pid);
  }
  for (int left = at_once ? count : 0; left > 0; left--) reap(programs, count, -1);
  int failed = 0;
  for (int at = 0; at < count; at++) {
    const struct program *program = &programs[at];
    printf("{\"startedUs\":%lld,\"endedUs\":%lld,\"status\":%d,\"peakKb\":%ld}\n", program->started_us,
           program->ended_us, program->status, program->peak_kb);
    if (program->status != 0) {
      show_output(program);
      failed = 1;
    }
  }
  return failed;
}
