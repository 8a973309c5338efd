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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define GANG_MAGIC 0x47414e47u
#define EXIT_RING 256
#define BACKLOG \
    1024 /* every place, and as many again that were given up while all executors were busy */

/* How an executor ended: pid in the upper half, wait status in the lower. 0: empty. */
struct exit_entry {
    _Atomic uint64_t value;
};

struct header {
    uint32_t magic;
    uint32_t header_size; /* with magic: is it our build's layout? */
    struct gang_shape shape;
    _Atomic uint64_t last_run;
    _Atomic int64_t mean_run_us[TASK_CLASS_COUNT];
    _Atomic uint32_t exit_count;
    struct exit_entry exits[EXIT_RING];
};

struct gang {
    struct header *header; /* the mapping */
    size_t size;
    int memory_fd;
    int listen_fd[TASK_CLASS_COUNT];
    int address_fd[TASK_CLASS_COUNT];
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

static int map(struct gang *g, struct error *reterr)
{
    void *memory = mmap(NULL, g->size, PROT_READ | PROT_WRITE, MAP_SHARED, g->memory_fd, 0);
    if (memory == MAP_FAILED)
        return error_errno(reterr, "gang: mmap");
    g->header = memory;
    g->places = (struct gang_place *)(g->header + 1);
    g->executors = (struct gang_executor *)(g->places + g->place_count);
    return 0;
}

/*
 * A listening socket whose name is gone at once: nobody but those who inherit `address_fd` can
 * connect (through /proc/self/fd), and a killed master leaves no file behind.
 */
static int listen_privately(struct gang *g, int class, int backlog, struct error *reterr)
{
    char directory[] = "/tmp/gangsaw-XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!mkdtemp(directory))
        return error_errno(reterr, "gang: mkdtemp");
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/exec", directory);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int result = 0;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, backlog) != 0)
        result = error_errno(reterr, "gang: listen");
    g->listen_fd[class] = fd;
    if (result == 0) {
        g->address_fd[class] = open(address.sun_path, O_PATH | O_CLOEXEC);
        if (g->address_fd[class] < 0)
            result = error_errno(reterr, "gang: open");
    }
    (void)unlink(address.sun_path);
    (void)rmdir(directory);
    return result;
}

static struct gang *gang_new(void)
{
    struct gang *g = calloc(1, sizeof(*g));
    if (!g)
        return NULL;
    g->memory_fd = -1;
    for (int c = 0; c < TASK_CLASS_COUNT; c++)
        g->listen_fd[c] = g->address_fd[c] = -1;
    return g;
}

static void fill_in(struct gang *g, const struct gang_shape *shape)
{
    g->header->magic = GANG_MAGIC;
    g->header->header_size = sizeof(struct header);
    g->header->shape = *shape;
    int i = 0;
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        for (int k = 0; k < shape->slots[c]; k++)
            g->executors[i++].class = c;
    }
}

int gang_create(const struct gang_shape *shape, struct gang **ret_gang, struct error *reterr)
{
    struct gang *g = gang_new();
    if (!g)
        return error_errno(reterr, "gang: calloc");
    lay_out(g, shape);
    g->memory_fd = memfd_create("gangsaw-gang", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (g->memory_fd < 0 || ftruncate(g->memory_fd, (off_t)g->size) != 0 ||
        fcntl(g->memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        (void)error_errno(reterr, "gang: memfd");
        goto fail;
    }
    if (map(g, reterr) != 0)
        goto fail;
    fill_in(g, shape);
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        if (shape->slots[c] > 0 &&
            listen_privately(g, c, class_places(shape, c) + BACKLOG, reterr) != 0)
            goto fail;
    }
    *ret_gang = g;
    return 0;

fail:
    gang_close(g);
    return -1;
}

int gang_join(int memory_fd, const int socket_fds[TASK_CLASS_COUNT], struct gang **ret_gang,
              struct error *reterr)
{
    struct gang *g = gang_new();
    if (!g)
        return error_errno(reterr, "gang: calloc");
    g->memory_fd = memory_fd;
    for (int c = 0; c < TASK_CLASS_COUNT; c++)
        g->address_fd[c] = socket_fds[c];

    struct header header;
    struct stat st;
    if (fstat(memory_fd, &st) != 0 ||
        pread(memory_fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header)) {
        (void)error_errno(reterr, "gang: read");
        goto fail;
    }
    if (header.magic == GANG_MAGIC && header.header_size == sizeof(header))
        lay_out(g, &header.shape);
    if (g->size == 0 || (off_t)g->size != st.st_size) {
        (void)error_internal(reterr, "gang: the master runs another build; restart the pool");
        goto fail;
    }
    if (map(g, reterr) != 0)
        goto fail;
    *ret_gang = g;
    return 0;

fail:
    gang_close(g);
    return -1;
}

void gang_close(struct gang *g)
{
    if (!g)
        return;
    if (g->header)
        (void)munmap(g->header, g->size);
    if (g->memory_fd >= 0)
        (void)close(g->memory_fd);
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        if (g->listen_fd[c] >= 0)
            (void)close(g->listen_fd[c]);
        if (g->address_fd[c] >= 0)
            (void)close(g->address_fd[c]);
    }
    free(g);
}

int gang_memory_fd(const struct gang *g)
{
    return g->memory_fd;
}

int gang_address_fd(const struct gang *g, enum task_class class)
{
    return g->address_fd[class];
}

int gang_listen_fd(const struct gang *g, enum task_class class)
{
    return g->listen_fd[class];
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

int gang_executor_of(const struct gang *g, pid_t pid)
{
    for (int i = 0; i < g->executor_count; i++) {
        if (pid > 0 && atomic_load(&g->executors[i].pid) == pid)
            return i;
    }
    return -1;
}

int gang_place_count(const struct gang *g)
{
    return g->place_count;
}

struct gang_place *gang_place(const struct gang *g, int i)
{
    return &g->places[i];
}

static struct gang_place *first_place(const struct gang *g, enum task_class class, int *ret_count)
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
    struct gang_place *p = first_place(g, class, &count);
    *ret_taken = *ret_busy = 0;
    for (int i = 0; i < count; i++) {
        if (atomic_load_explicit(&p[i].owner, memory_order_relaxed) == 0)
            continue;
        ++*ret_taken;
        if (atomic_load_explicit(&p[i].state, memory_order_relaxed) != PLACE_WAITING)
            ++*ret_busy;
    }
}

struct gang_place *gang_place_take(struct gang *g, enum task_class class, const char *task,
                                   const char *request_id)
{
    int count;
    struct gang_place *places = first_place(g, class, &count);
    for (int i = 0; i < count; i++) {
        struct gang_place *p = &places[i];
        int32_t nobody = 0;
        if (atomic_load_explicit(&p->owner, memory_order_relaxed) != 0 ||
            !atomic_compare_exchange_strong(&p->owner, &nobody, (int32_t)getpid()))
            continue;
        (void)snprintf(p->task, sizeof(p->task), "%s", task);
        (void)snprintf(p->request_id, sizeof(p->request_id), "%s", request_id);
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
    const struct gang_place *p = first_place(g, class, &count);
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

void gang_observe_run(struct gang *g, enum task_class class, int64_t run_us)
{
    /* An exponential mean over about eight runs; a lost update between workers does no harm. */
    _Atomic int64_t *mean = &g->header->mean_run_us[class];
    int64_t old = atomic_load_explicit(mean, memory_order_relaxed);
    atomic_store_explicit(mean, old == 0 ? run_us : old + (run_us - old) / 8, memory_order_relaxed);
}

uint64_t gang_new_run(struct gang *g)
{
    return atomic_fetch_add_explicit(&g->header->last_run, 1, memory_order_relaxed) + 1;
}

static struct exit_entry *find_exit(const struct gang *g, pid_t pid)
{
    for (int i = 0; i < EXIT_RING; i++) {
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
    struct control *control = gang_control(g, i);
    pid_t pid = atomic_exchange(&g->executors[i].pid, 0);
    uint32_t n = atomic_fetch_add(&g->header->exit_count, 1) % EXIT_RING;
    atomic_store(&g->header->exits[n].value, (uint64_t)(uint32_t)pid << 32 | (uint32_t)status);
    memset(control, 0, sizeof(*control));
}

bool gang_run_is_wanted(const struct gang *g, uint64_t run)
{
    for (int i = 0; i < g->place_count; i++) {
        if (atomic_load(&g->places[i].owner) != 0 && atomic_load(&g->places[i].run) == run)
            return true;
    }
    return false;
}

void gang_worker_ended(struct gang *g, pid_t pid)
{
    for (int i = 0; i < g->place_count; i++) {
        if (atomic_load(&g->places[i].owner) == pid)
            gang_place_free(&g->places[i]);
    }
}

void gang_condemn(struct gang *g, int i, pid_t pid)
{
    atomic_store(&g->executors[i].condemned, (int32_t)pid);
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
