/*
 * Sends through a path between two network namespaces, in one thread: what the kernel does for a packet on its whole way
 * is done in the context of its sender, so that the thread's processor time is the cost of the path, on a busy machine too.
 *
 * packets udp    FROM TO ADDRESS COUNT   COUNT packets of 64 bytes; the receiver's socket takes and discards them
 * packets echo   FROM TO ADDRESS COUNT   COUNT round trips of 1 byte over one TCP connection
 * packets stream FROM TO ADDRESS COUNT   COUNT MB (10^6 bytes) over one TCP connection
 *
 * FROM and TO are paths of namespaces, ADDRESS is the receiver's, of either family. A tenth of the work is done before it
 * is timed. Standard output is one JSON object: units that arrived, nanoseconds of processor time, nanoseconds on the clock.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 5001, PACKET_BYTES = 64, CHUNK_BYTES = 1 << 16, TIMEOUT_S = 20, UNITS_MAX = 100000000 };

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

static union address address;
static socklen_t address_bytes;
static char chunk[CHUNK_BYTES];

static void die(const char *what) {
  fprintf(stderr, "packets: %s: %s\n", what, strerror(errno));
  exit(2);
}

static long long now_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void parse_address(const char *text) {
  if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(PORT);
    address_bytes = sizeof address.v4;
  } else if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1) {
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons(PORT);
    address_bytes = sizeof address.v6;
  } else {
    fprintf(stderr, "packets: not an address: %s\n", text);
    exit(2);
  }
}

/* A socket belongs to the namespace that its thread was in when it was made. */
static int socket_in(const char *netns, int type) {
  int namespace = open(netns, O_RDONLY | O_CLOEXEC);
  if (namespace < 0 || setns(namespace, CLONE_NEWNET) < 0) die(netns);
  close(namespace);
  int made = socket(address.any.sa_family, type | SOCK_CLOEXEC, 0);
  struct timeval patience = {TIMEOUT_S, 0};
  int one = 1;
  if (made < 0) die("socket");
  if (setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0) die("SO_RCVTIMEO");
  if (setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0) die("SO_SNDTIMEO");
  if (setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0) die("SO_REUSEADDR");
  return made;
}

static int receiver_in(const char *netns, int type) {
  int made = socket_in(netns, type);
  if (bind(made, &address.any, address_bytes) < 0) die("bind");
  return made;
}

static void connect_it(int sender) {
  if (connect(sender, &address.any, address_bytes) < 0) die("connect");
}

/* The filter drops every packet, and the socket counts the drops: nobody has to read. */
static void discard(int receiver) {
  struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
  struct sock_fprog program = {1, &nothing};
  if (setsockopt(receiver, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0) die("SO_ATTACH_FILTER");
}

static unsigned discarded(int receiver) {
  unsigned info[SK_MEMINFO_VARS];
  socklen_t bytes = sizeof info;
  if (getsockopt(receiver, SOL_SOCKET, SO_MEMINFO, info, &bytes) < 0) die("SO_MEMINFO");
  return info[SK_MEMINFO_DROPS];
}

static void send_packets(int sender, long count) {
  while (count-- > 0) {
    if (send(sender, chunk, PACKET_BYTES, 0) == PACKET_BYTES) continue;
    if (errno != ENOBUFS && errno != ECONNREFUSED) die("send");
  }
}

static void echo(int client, int server, long count) {
  while (count-- > 0) {
    if (send(client, chunk, 1, MSG_NOSIGNAL) != 1 || recv(server, chunk, 1, 0) != 1) die("to the server");
    if (send(server, chunk, 1, MSG_NOSIGNAL) != 1 || recv(client, chunk, 1, 0) != 1) die("to the client");
  }
}

static void wait_for(int client, int server, int writes) {
  struct pollfd ends[] = {{.fd = server, .events = POLLIN}, {.fd = client, .events = writes ? POLLOUT : 0}};
  int ready = poll(ends, 2, TIMEOUT_S * 1000);
  if (ready == 0) errno = ETIMEDOUT;
  if (ready <= 0) die("stream");
}

/* Writes what the connection takes, reads what has come, and so on. */
static void stream(int client, int server, long long bytes) {
  long long sent = 0, read = 0;
  while (read < bytes) {
    long long before = sent + read;
    while (sent < bytes) {
      size_t next = bytes - sent < CHUNK_BYTES ? (size_t)(bytes - sent) : CHUNK_BYTES;
      ssize_t wrote = send(client, chunk, next, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (wrote < 0 && errno != EAGAIN) die("send");
      if (wrote <= 0) break;
      sent += wrote;
    }
    for (ssize_t got; (got = recv(server, chunk, CHUNK_BYTES, MSG_DONTWAIT)) != 0;) {
      if (got < 0 && errno != EAGAIN) die("recv");
      if (got < 0) break;
      read += got;
    }
    if (sent + read == before) wait_for(client, server, sent < bytes);
  }
}

static void report(long long units, long long cpu_ns, long long wall_ns) {
  printf("{\"units\":%lld,\"cpuNs\":%lld,\"wallNs\":%lld}\n", units, cpu_ns, wall_ns);
}

static void run_udp(const char *from, const char *to, long count) {
  int receiver = receiver_in(to, SOCK_DGRAM);
  discard(receiver);
  int sender = socket_in(from, SOCK_DGRAM);
  connect_it(sender);
  send_packets(sender, count / 10 + 1);
  unsigned before = discarded(receiver);
  long long cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID), wall_ns = now_ns(CLOCK_MONOTONIC);
  send_packets(sender, count);
  cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
  wall_ns = now_ns(CLOCK_MONOTONIC) - wall_ns;
  report((long long)(discarded(receiver) - before), cpu_ns, wall_ns);
}

static void run_tcp(const char *from, const char *to, long count, int streams) {
  int listener = receiver_in(to, SOCK_STREAM);
  int one = 1;
  if (listen(listener, 1) < 0) die("listen");
  int client = socket_in(from, SOCK_STREAM);
  connect_it(client);
  int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (server < 0) die("accept");
  for (int at = 0; at < 2; at++)
    if (setsockopt(at == 0 ? client : server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0) die("TCP_NODELAY");
  if (streams) stream(client, server, count * 100000LL);
  else echo(client, server, count / 10 + 1);
  long long cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID), wall_ns = now_ns(CLOCK_MONOTONIC);
  if (streams) stream(client, server, count * 1000000LL);
  else echo(client, server, count);
  cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
  wall_ns = now_ns(CLOCK_MONOTONIC) - wall_ns;
  report(count, cpu_ns, wall_ns);
}

int main(int argc, char **argv) {
  long count = argc == 6 ? atol(argv[5]) : 0;
  int udp = argc == 6 && strcmp(argv[1], "udp") == 0;
  int echoes = argc == 6 && strcmp(argv[1], "echo") == 0;
  int streams = argc == 6 && strcmp(argv[1], "stream") == 0;
  if (count < 1 || count > UNITS_MAX || !(udp || echoes || streams)) {
    fprintf(stderr, "usage: packets udp|echo|stream FROM TO ADDRESS COUNT\n");
    return 2;
  }
  parse_address(argv[4]);
  if (udp) run_udp(argv[2], argv[3], count);
  else run_tcp(argv[2], argv[3], count, streams);
  return 0;
}
