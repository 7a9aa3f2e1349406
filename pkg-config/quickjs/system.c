#include "system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* For a standard stream that somebody made non-blocking: how long whoever is at its other end may pause. */
#define STREAM_PATIENCE_MS 10000

static int agent = -1;
static int64_t deadline_ms;

/* ---- The end of the process ---- */

void write_all(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        const ssize_t count = write(fd, bytes, length);
        if (count >= 0) {
            bytes += count;
            length -= (size_t)count;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            if (poll(&wait, 1, STREAM_PATIENCE_MS) <= 0) return;
        } else if (errno != EINTR) {
            return;
        }
    }
}

void last_words(void) {
    write_all(STDOUT_FILENO, LAST_STDOUT, sizeof LAST_STDOUT - 1);
    write_all(STDERR_FILENO, LAST_STDERR, sizeof LAST_STDERR - 1);
    _exit(1);
}

static void on_crash(int number) {
    (void)number;
    last_words();
}

void catch_crashes(void) {
    /* The other stack may be what is used up. */
    static char stack[8192];
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    const struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK | (int)SA_RESETHAND};
    const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    sigaltstack(&alternate, NULL);
    for (size_t at = 0; at < sizeof crashes / sizeof *crashes; at++) sigaction(crashes[at], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* ---- Standard input, files ---- */

int read_stdin(uint8_t *bytes, size_t room, size_t *length) {
    *length = 0;
    while (*length < room) {
        struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
        const ssize_t count = read(STDIN_FILENO, bytes + *length, room - *length);
        if (count == 0) return 0;
        if (count > 0) *length += (size_t)count;
        else if (errno == EAGAIN && poll(&wait, 1, STREAM_PATIENCE_MS) <= 0) return EAGAIN;
        else if (errno != EAGAIN && errno != EINTR) return errno;
    }
    return 0;
}

bool is_same_file(const char *one, const char *other) {
    struct stat a, b;
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int owner_of(const char *path, uid_t *owner) {
    struct stat file;
    if (stat(path, &file) != 0) return errno;
    *owner = file.st_uid;
    return 0;
}

/* ---- The agent ---- */

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int agent_connect(const char *path, uint32_t within_ms) {
    deadline_ms = now_ms() + within_ms;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t length = strlen(path);
    if (length >= sizeof address.sun_path) return ENAMETOOLONG;
    memcpy(address.sun_path, path, length);
    agent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (agent < 0) return errno;
    /* While the agent's backlog is full, connect waits; it ends with EAGAIN, socket(7). */
    const struct timeval timeout = {.tv_sec = within_ms / 1000, .tv_usec = within_ms % 1000 * 1000};
    if (setsockopt(agent, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0) return errno;
    while (connect(agent, (const struct sockaddr *)&address, sizeof address) != 0)
        if (errno != EINTR) return errno == EAGAIN ? ETIMEDOUT : errno;
    return 0;
}

static int await_agent(short events) {
    for (;;) {
        const int64_t left_ms = deadline_ms - now_ms();
        if (left_ms <= 0) return ETIMEDOUT;
        struct pollfd wait = {.fd = agent, .events = events};
        const int ready = poll(&wait, 1, (int)left_ms);
        if (ready > 0) return 0;
        if (ready < 0 && errno != EINTR) return errno;
    }
}

int agent_write(const uint8_t *bytes, size_t length) {
    while (length > 0) {
        const ssize_t count = send(agent, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count >= 0) {
            bytes += count;
            length -= (size_t)count;
        } else if (errno == EAGAIN) {
            const int failure = await_agent(POLLOUT);
            if (failure != 0) return failure;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int agent_read(uint8_t *bytes, size_t room, size_t *length) {
    for (;;) {
        const int failure = await_agent(POLLIN);
        if (failure != 0) return failure;
        const ssize_t count = recv(agent, bytes, room, MSG_DONTWAIT);
        if (count >= 0) {
            *length = (size_t)count;
            return 0;
        }
        if (errno != EAGAIN && errno != EINTR) return errno;
    }
}

/* ---- The spool ---- */

static int open_directory(const char *path) {
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int make_directory(const char *path) {
    char *prefix = strdup(path);
    if (prefix == NULL) return ENOMEM;
    int failure = 0;
    for (char *end = prefix + 1; failure == 0; *end++ = '/') {
        end = strchrnul(end, '/');
        const bool last = *end == '\0';
        *end = '\0';
        if (mkdir(prefix, 0700) != 0 && errno != EEXIST) failure = errno;
        if (last) break;
    }
    free(prefix);
    return failure;
}

/* A file that is there already costs no room. Looks at no more than `files_max` entries. */
static int check_room(int directory, const char *name, uint32_t files_max) {
    struct stat file;
    if (fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW) == 0) return 0;
    if (errno != ENOENT) return errno;
    DIR *entries = fdopendir(dup(directory));
    if (entries == NULL) return errno;
    uint32_t count = 0;
    for (const struct dirent *entry; count < files_max && (entry = readdir(entries)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) count++;
    closedir(entries);
    return count < files_max ? 0 : FULL;
}

static int write_synced(int file, const char *text, size_t length) {
    while (length > 0) {
        const ssize_t count = write(file, text, length);
        if (count < 0 && errno != EINTR) return errno;
        text += count < 0 ? 0 : count;
        length -= count < 0 ? 0 : (size_t)count;
    }
    return fsync(file) == 0 ? 0 : errno;
}

static int keep_in(int directory, const char *name, const char *text, size_t length) {
    char temporary[NAME_MAX + 1];
    const int used = snprintf(temporary, sizeof temporary, ".%s.%d", name, (int)getpid());
    if (used < 0 || (size_t)used >= sizeof temporary) return ENAMETOOLONG;
    const int file = openat(directory, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) return errno;
    int failure = write_synced(file, text, length);
    if (close(file) != 0 && failure == 0) failure = errno;
    if (failure == 0 && renameat(directory, temporary, directory, name) != 0) failure = errno;
    if (failure != 0) unlinkat(directory, temporary, 0);
    else if (fsync(directory) != 0) failure = errno;
    return failure;
}

int keep_file(const char *directory_path, const char *name, const char *text, size_t length, uint32_t files_max) {
    int directory = open_directory(directory_path);
    if (directory < 0 && errno == ENOENT) {
        const int failure = make_directory(directory_path);
        if (failure != 0) return failure;
        directory = open_directory(directory_path);
    }
    struct stat status;
    if (directory < 0 || fstat(directory, &status) != 0) return errno;
    if (status.st_uid != geteuid()) return NOT_OWNED;
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) return WRITABLE_BY_OTHERS;
    const int no_room = check_room(directory, name, files_max);
    return no_room != 0 ? no_room : keep_in(directory, name, text, length);
}
