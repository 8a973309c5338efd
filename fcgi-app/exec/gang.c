/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gang.c - see gang.h
 *
 * Layout of the mapping: a header, the places (class by class), the executors,
 * and from the next page boundary on one control page per executor.
 */
#include "exec/gang.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/self.h"

#define GANG_MAGIC 0x47414e47u
#define EXIT_RING 256
#define BACKLOG 64 /* who has a seat connects: GANG_SEATS, and a few that gave up */

/* How an executor ended: pid in the upper half, wait status in the lower. 0: empty. */
struct exit_entry {
    _Atomic uint64_t value;
};

struct header {
    uint32_t magic;
    uint32_t header_size; /* with magic: is it our build's layout? */
    struct gang_shape shape;
    int32_t creator;
    _Atomic uint64_t last_run;
    _Atomic uint64_t last_ticket[TASK_CLASS_COUNT];
    _Atomic int64_t mean_run_us[TASK_CLASS_COUNT];
    _Atomic int64_t mean_computed_us[TASK_CLASS_COUNT];
    _Atomic uint32_t exit_count;
    struct exit_entry exits[EXIT_RING];
};

struct gang {
    struct header *header; /* the mapping */
    size_t size;
    int *listen_fds; /* of each executor; NULL for who joined */
    int *fds;        /* as gang_descriptor() has them: memory, addresses, bells */
    int fd_count;
    int ready_fd; /* -1 for who joined */
    struct links links;
    struct gang_place *places;
    struct gang_executor *executors;
    int place_count, executor_count;
    off_t controls;
};

static int class_places(const struct gang_shape *shape, int class)
{
    return shape->slots[class] > 0 ? shape->slots[class] + shape->queue_length : 0;
}

/* Everything that follows from the shape; the pointers once the header is mapped. */
static void lay_out(struct gang *g, const struct gang_shape *shape)
{
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        g->place_count += class_places(shape, c);
        g->executor_count += shape->slots[c];
    }
    size_t at = sizeof(struct header);
    at += (size_t)g->place_count * sizeof(struct gang_place);
    at += (size_t)g->executor_count * sizeof(struct gang_executor);
    at = (at + CONTROL_PAGE_SIZE - 1) / CONTROL_PAGE_SIZE * CONTROL_PAGE_SIZE;
    g->controls = (off_t)at;
    g->size = at + (size_t)g->executor_count * CONTROL_PAGE_SIZE;
}

/* With room for the descriptors, of which none is open yet. */
static int make_room(struct gang *g, bool is_creator, struct error *reterr)
{
    int count = 1 + g->executor_count + g->place_count;
    g->fds = malloc((size_t)count * sizeof(*g->fds));
    g->listen_fds = is_creator ? malloc((size_t)g->executor_count * sizeof(*g->fds)) : NULL;
    if (!g->fds || (is_creator && !g->listen_fds))
        return error_errno(reterr, "gang: malloc");
    for (g->fd_count = 0; g->fd_count < count; g->fd_count++)
        g->fds[g->fd_count] = -1;
    for (int i = 0; is_creator && i < g->executor_count; i++)
        g->listen_fds[i] = -1;
    return 0;
}

static int map(struct gang *g, struct error *reterr)
{
    void *memory = mmap(NULL, g->size, PROT_READ | PROT_WRITE, MAP_SHARED, g->fds[0], 0);
    if (memory == MAP_FAILED)
        return error_errno(reterr, "gang: mmap");
    g->header = memory;
    g->places = (struct gang_place *)(g->header + 1);
    g->executors = (struct gang_executor *)(g->places + g->place_count);
    return 0;
}

/*
 * A listening socket whose name is gone at once: nobody but those who inherit the address can
 * connect (through /proc/self/fd), and a killed master leaves no file behind.
 */
static int listen_privately(const char *directory, int *ret_listen_fd, int *ret_address_fd,
                            struct error *reterr)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/exec", directory);
    int fd = *ret_listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int result = 0;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, BACKLOG) != 0)
        result = error_errno(reterr, "gang: listen");
    if (result == 0) {
        *ret_address_fd = open(address.sun_path, O_PATH | O_CLOEXEC);
        if (*ret_address_fd < 0)
            result = error_errno(reterr, "gang: open");
    }
    (void)unlink(address.sun_path);
    return result;
}

static int open_sockets(struct gang *g, struct error *reterr)
{
    char directory[] = "/tmp/gangsaw-XXXXXX";
    int result = 0;
    if (!mkdtemp(directory))
        return error_errno(reterr, "gang: mkdtemp");
    for (int i = 0; i < g->executor_count && result == 0; i++)
        result = listen_privately(directory, &g->listen_fds[i], &g->fds[1 + i], reterr);
    (void)rmdir(directory);
    return result;
}

static int open_bells(struct gang *g, struct error *reterr)
{
    g->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool is_open = g->ready_fd >= 0;
    for (int i = 1 + g->executor_count; i < g->fd_count; i++) {
        g->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        is_open = is_open && g->fds[i] >= 0;
    }
    return is_open ? 0 : error_errno(reterr, "gang: eventfd");
}

static int open_memory(struct gang *g, struct error *reterr)
{
    int fd = g->fds[0] = memfd_create("gangsaw-gang", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)g->size) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return error_errno(reterr, "gang: memfd");
    return map(g, reterr);
}

static void fill_in(struct gang *g, const struct gang_shape *shape)
{
    g->header->magic = GANG_MAGIC;
    g->header->header_size = sizeof(struct header);
    g->header->shape = *shape;
    g->header->creator = (int32_t)getpid();
    int executor = 0, place = 0;
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        for (int k = 0; k < shape->slots[c]; k++)
            g->executors[executor++].class = c;
        for (int k = 0; k < class_places(shape, c); k++)
            g->places[place++].class = c;
    }
}

static struct gang *gang_new(void)
{
    struct gang *g = calloc(1, sizeof(*g));
    if (g)
        g->ready_fd = g->links.epoll_fd = -1;
    return g;
}

int gang_create(const struct gang_shape *shape, struct gang **ret_gang, struct error *reterr)
{
    struct gang *g = gang_new();
    if (!g)
        return error_errno(reterr, "gang: calloc");
    lay_out(g, shape);
    if (make_room(g, true, reterr) != 0 || open_memory(g, reterr) != 0 ||
        open_sockets(g, reterr) != 0 || open_bells(g, reterr) != 0) {
        gang_close(g);
        return -1;
    }
    fill_in(g, shape);
    *ret_gang = g;
    return 0;
}

/* The layout that the mapping's creator used, if it was this build. */
static int read_layout(struct gang *g, int memory_fd, struct error *reterr)
{
    struct header header;
    struct stat st;
    if (fstat(memory_fd, &st) != 0 ||
        pread(memory_fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
        return error_errno(reterr, "gang: read");
    if (header.magic == GANG_MAGIC && header.header_size == sizeof(header))
        lay_out(g, &header.shape);
    if (g->size == 0 || (off_t)g->size != st.st_size)
        return error_internal(reterr, "gang: the master runs another build; restart the pool");
    return 0;
}

int gang_join(int first_fd, struct gang **ret_gang, struct error *reterr)
{
    struct gang *g = gang_new();
    if (!g)
        return error_errno(reterr, "gang: calloc");
    if (read_layout(g, first_fd, reterr) != 0 || make_room(g, false, reterr) != 0)
        goto fail;
    for (int i = 0; i < g->fd_count; i++)
        g->fds[i] = first_fd + i;
    if (map(g, reterr) != 0)
        goto fail;
    *ret_gang = g;
    return 0;

fail:
    gang_close(g);
    return -1;
}

static void close_all(const int *fds, int count)
{
    for (int i = 0; fds && i < count; i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]);
    }
}

void gang_close(struct gang *g)
{
    if (!g)
        return;
    if (g->header)
        (void)munmap(g->header, g->size);
    close_all(g->fds, g->fd_count);
    close_all(g->listen_fds, g->executor_count);
    close_all(&g->ready_fd, 1);
    links_release(&g->links);
    free(g->fds);
    free(g->listen_fds);
    free(g);
}

bool gang_is_alive(const struct gang *g)
{
    return g->header->creator == getppid() || g->header->creator == getpid();
}

int gang_descriptor_count(const struct gang *g)
{
    return g->fd_count;
}

int gang_descriptor(const struct gang *g, int i)
{
    return g->fds[i];
}

int gang_memory_fd(const struct gang *g)
{
    return g->fds[0];
}

int gang_listen_fd(const struct gang *g, int executor)
{
    return g->listen_fds[executor];
}

int gang_address_fd(const struct gang *g, int executor)
{
    return g->fds[1 + executor];
}

int gang_bell_fd(const struct gang *g, const struct gang_place *p)
{
    return g->fds[1 + g->executor_count + (int)(p - g->places)];
}

int gang_ready_fd(const struct gang *g)
{
    return g->ready_fd;
}

struct links *gang_links(struct gang *g)
{
    return &g->links;
}

void gang_look_at_links(struct gang *g)
{
    struct link link;
    bool has_spoken;
    while (links_next_end(&g->links, &link, &has_spoken)) {
        if (!has_spoken)
            continue;
        gang_executor_retire(g, link.executor, link.pid);
        gang_executor_kill(g, link.executor, link.pid);
    }
}

const struct gang_shape *gang_shape(const struct gang *g)
{
    return &g->header->shape;
}

int gang_executor_count(const struct gang *g)
{
    return g->executor_count;
}

struct gang_executor *gang_executor(const struct gang *g, int i)
{
    return &g->executors[i];
}

off_t gang_control_offset(const struct gang *g, int i)
{
    return g->controls + (off_t)i * CONTROL_PAGE_SIZE;
}

struct control *gang_control(const struct gang *g, int i)
{
    return (struct control *)((char *)g->header + gang_control_offset(g, i));
}

int gang_place_count(const struct gang *g)
{
    return g->place_count;
}

struct gang_place *gang_place(const struct gang *g, int i)
{
    return &g->places[i];
}

struct gang_place *gang_class_places(const struct gang *g, enum task_class class, int *ret_count)
{
    int first = 0;
    for (int c = 0; c < (int)class; c++)
        first += class_places(&g->header->shape, c);
    *ret_count = class_places(&g->header->shape, (int)class);
    return g->places + first;
}

void gang_load(const struct gang *g, enum task_class class, int *ret_taken, int *ret_busy)
{
    int count;
    struct gang_place *p = gang_class_places(g, class, &count);
    *ret_taken = *ret_busy = 0;
    for (int i = 0; i < count; i++) {
        if (atomic_load_explicit(&p[i].owner, memory_order_relaxed) == 0)
            continue;
        ++*ret_taken;
        if (atomic_load_explicit(&p[i].state, memory_order_relaxed) != PLACE_WAITING)
            ++*ret_busy;
    }
}

static void copy_text(char *to, size_t size, const char *text)
{
    size_t length = strnlen(text, size - 1);
    memcpy(to, text, length);
    to[length] = '\0';
}

struct gang_place *gang_place_take(struct gang *g, enum task_class class, const char *task,
                                   const char *request_id)
{
    int count;
    struct gang_place *places = gang_class_places(g, class, &count);
    for (int i = 0; i < count; i++) {
        struct gang_place *p = &places[i];
        int32_t nobody = 0;
        if (atomic_load_explicit(&p->owner, memory_order_relaxed) != 0 ||
            !atomic_compare_exchange_strong(&p->owner, &nobody, (int32_t)self_pid()))
            continue;
        copy_text(p->task, sizeof(p->task), task);
        copy_text(p->request_id, sizeof(p->request_id), request_id);
        atomic_store(&p->wants_idle, false);
        gang_place_enter(p, PLACE_WAITING, 0, -1);
        return p;
    }
    return NULL;
}

void gang_place_free(struct gang_place *p)
{
    if (!p)
        return;
    gang_place_enter(p, PLACE_WAITING, 0, -1);
    atomic_store(&p->owner, 0);
}

void gang_place_enter(struct gang_place *p, enum place_state state, uint64_t run, int executor)
{
    atomic_store(&p->run, run);
    atomic_store(&p->executor, executor);
    atomic_store(&p->since_us, clock_us());
    atomic_store(&p->state, (int32_t)state);
}

/* Of the runs that ended lately, or of those under way if these are longer already. */
static int64_t mean_run_us(const struct gang *g, enum task_class class)
{
    int64_t sum_us = 0, now_us = clock_us();
    int count, running = 0;
    const struct gang_place *p = gang_class_places(g, class, &count);
    for (int i = 0; i < count; i++) {
        if (atomic_load(&p[i].owner) == 0 || atomic_load(&p[i].state) == PLACE_WAITING)
            continue;
        sum_us += now_us - atomic_load(&p[i].since_us);
        running++;
    }
    int64_t ended_us = atomic_load_explicit(&g->header->mean_run_us[class], memory_order_relaxed);
    int64_t running_us = running > 0 ? sum_us / running : 0;
    return ended_us > running_us ? ended_us : running_us;
}

int gang_retry_after(const struct gang *g, enum task_class class)
{
    int taken, busy;
    gang_load(g, class, &taken, &busy);
    int slots = g->header->shape.slots[class];
    if (slots < 1)
        return 1;
    /* Who comes back waits for those before it, each slot taking one after the other. */
    int64_t wait_us = mean_run_us(g, class) * (taken - slots + 1) / slots;
    int64_t wait_s = (wait_us + 999999) / 1000000;
    return wait_s < 1 ? 1 : wait_s > 60 ? 60 : (int)wait_s;
}

/* An exponential mean over about eight runs; a lost update between workers does no harm. */
static void count_in(_Atomic int64_t *mean, int64_t us)
{
    int64_t old = atomic_load_explicit(mean, memory_order_relaxed);
    atomic_store_explicit(mean, old == 0 ? us : old + (us - old) / 8, memory_order_relaxed);
}

void gang_observe_run(struct gang *g, enum task_class class, int64_t run_us, int64_t computed_us)
{
    count_in(&g->header->mean_run_us[class], run_us);
    count_in(&g->header->mean_computed_us[class], computed_us > 0 ? computed_us : 1);
}

_Static_assert(GANG_SEATS <= CONTROL_CLAIMS, "a claim for each seat");

uint64_t gang_new_run(struct gang *g, int seat)
{
    uint64_t n = atomic_fetch_add_explicit(&g->header->last_run, 1, memory_order_relaxed) + 1;
    return n * CONTROL_CLAIMS + (uint64_t)seat;
}

bool gang_runs_are_shorter(const struct gang *g, enum task_class class, int64_t us)
{
    int64_t mean_us =
        atomic_load_explicit(&g->header->mean_computed_us[class], memory_order_relaxed);
    return mean_us > 0 && mean_us < us;
}

uint64_t gang_new_ticket(struct gang *g, enum task_class class)
{
    return atomic_fetch_add_explicit(&g->header->last_ticket[class], 1, memory_order_relaxed) + 1;
}

static struct exit_entry *find_exit(const struct gang *g, pid_t pid)
{
    for (int i = 0; pid > 0 && i < EXIT_RING; i++) { /* 0 stands in empty entries */
        struct exit_entry *entry = &g->header->exits[i];
        if ((pid_t)(atomic_load(&entry->value) >> 32) == pid)
            return entry;
    }
    return NULL;
}

void gang_executor_started(struct gang *g, int i, pid_t pid)
{
    struct exit_entry *stale = find_exit(g, pid); /* of an earlier process with the same pid */
    if (stale)
        atomic_store(&stale->value, 0);
    atomic_store(&g->executors[i].started_us, clock_us());
    atomic_store(&g->executors[i].pid, (int32_t)pid);
}

void gang_executor_ended(struct gang *g, int i, int status)
{
    atomic_store(&g->executors[i].taking, 0);
    pid_t pid = atomic_exchange(&g->executors[i].pid, 0);
    uint32_t n = atomic_fetch_add(&g->header->exit_count, 1) % EXIT_RING;
    atomic_store(&g->header->exits[n].value, (uint64_t)(uint32_t)pid << 32 | (uint32_t)status);
    control_reset(gang_control(g, i));
}

void gang_executor_retire(struct gang *g, int i, pid_t pid)
{
    int32_t taking = (int32_t)pid;
    (void)atomic_compare_exchange_strong(&g->executors[i].taking, &taking, 0);
}

void gang_executor_kill(struct gang *g, int i, pid_t pid)
{
    int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
    /* The creator takes the pid out right after it has reaped: what still stands there now was that
     * process when pidfd_open() looked. */
    if (pidfd >= 0 && atomic_load(&g->executors[i].pid) == pid)
        (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    if (pidfd >= 0)
        (void)close(pidfd);
}

bool gang_exit_status(const struct gang *g, pid_t pid, int timeout_ms, int *ret_status)
{
    int64_t deadline = clock_us() + (int64_t)timeout_ms * 1000;
    for (;;) {
        struct exit_entry *entry = find_exit(g, pid);
        if (entry) {
            *ret_status = (int)(uint32_t)atomic_load(&entry->value);
            return true;
        }
        if (clock_us() >= deadline)
            return false;
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}
