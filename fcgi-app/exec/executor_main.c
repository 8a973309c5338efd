/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * executor_main.c - gangsaw-executor: loads modules and computes one run at a time
 *
 * Started by a pool's master, a runner or plain CGI, never by hand. It never reads a descriptor
 * of a client's and has nothing but its socket, its control page and its standard streams.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "exec/control.h"
#include "exec/module.h"
#include "exec/order.h"
#include "exec/run.h"
#include "exec/sandbox.h"
#include "exec/spawn.h"

#define ORDER_MAX ((size_t)1 << 40) /* the sender is trusted with the size of inputs */
#define IDLE_SECONDS 1              /* an idle executor looks after its memory this often */
#define LOOK_US 1000                /* of computing, between looks at what runs leave behind */
#define EVENTS_AT_ONCE 8
#define HEAP_THRESHOLD (64 * 1024 * 1024)
#define FILES_MAX \
    2048 /* each output of a run may be in a memfd, and those under way count per user */
#define FILES_LEAKED \
    48 /* a new descriptor's number between runs: modules have left that many open */

struct executor {
    const char *preload;
    struct sandbox sandbox; /* with the folder of modules */
    int socket_fd;
    pid_t parent;
    off_t control_offset;
    long max_runs, idle_mb;
    bool is_listening;
    int link_count; /* connections of workers */
    struct control *control;
    struct module_set *modules;
    struct arena *arena;
    long runs_left;
    bool is_trimmed; /* nothing was computed since the last trim */
    bool has_looked; /* in this run */
    bool keeps_much; /* memory or descriptors that runs left behind, by that look */
    int statm_fd;    /* our own memory figures, open before a sandbox closes the way there */
    size_t resident; /* by the last look at them */
    int64_t looked_us;
};

static void parse_options(struct executor *e, int argc, char **argv)
{
    static const struct option options[] = {{"modules", required_argument, NULL, 'm'},
                                            {"preload", required_argument, NULL, 'p'},
                                            {"parent", required_argument, NULL, 'P'},
                                            {"control", required_argument, NULL, 'c'},
                                            {"max-runs", required_argument, NULL, 'r'},
                                            {"idle-mb", required_argument, NULL, 'i'},
                                            {"sandbox", required_argument, NULL, 's'},
                                            {"class", required_argument, NULL, 'k'},
                                            {"space", required_argument, NULL, 'a'},
                                            {"file", required_argument, NULL, 'f'},
                                            {"listen", no_argument, NULL, 'l'},
                                            {"connected", no_argument, NULL, 'C'},
                                            {NULL, 0, NULL, 0}};
    int c, mode = -1;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'm':
            e->sandbox.modules_dir = optarg;
            break;
        case 'p':
            e->preload = optarg;
            break;
        case 'P':
            e->parent = (pid_t)strtol(optarg, NULL, 10);
            break;
        case 'c':
            e->control_offset = (off_t)strtoll(optarg, NULL, 10);
            break;
        case 'r':
            e->max_runs = strtol(optarg, NULL, 10);
            break;
        case 'i':
            e->idle_mb = strtol(optarg, NULL, 10);
            break;
        case 's':
            mode = sandbox_mode_parse(optarg);
            break;
        case 'k':
            e->sandbox.class = strcmp(optarg, task_class_name(TASK_NET)) == 0 ? TASK_NET : TASK_CPU;
            break;
        case 'a':
            e->sandbox.space_bytes = strtoul(optarg, NULL, 10);
            break;
        case 'f':
            e->sandbox.file_bytes = strtoul(optarg, NULL, 10);
            break;
        case 'l':
            e->is_listening = true;
            break;
        case 'C':
            e->is_listening = false;
            break;
        default:
            _exit(64);
        }
    }
    if (!e->sandbox.modules_dir || e->parent <= 0 || mode < 0) {
        (void)fputs("gangsaw-executor is started by gangsaw, not by hand\n", stderr);
        _exit(64);
    }
    e->sandbox.mode = (enum sandbox_mode)mode;
}

/* Die with the parent, in the middle of a run too. */
static void tie_to_parent(const struct executor *e)
{
    int fd = EXECUTOR_FD_LIFELINE;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || fcntl(fd, F_SETOWN, getpid()) != 0 ||
        fcntl(fd, F_SETSIG, SIGKILL) != 0 || fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK) != 0 ||
        getppid() != e->parent)
        _exit(71);
    /* An end that came before F_SETFL sent no signal. */
    if (poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) != 0)
        (void)raise(SIGKILL);
    (void)setpgid(0, 0); /* a terminal's ^C is for the master to handle */
}

/*
 * The socket moves to a number of which all smaller ones lack a bit: a filter of system calls can
 * tell it from them.
 */
static void limit_files(struct executor *e)
{
    struct rlimit files;
    rlim_t most = FILES_MAX;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        _exit(71);
    while (most >= files.rlim_max)
        most /= 2;
    files.rlim_cur = files.rlim_max;
    e->socket_fd = e->sandbox.shared_fd = (int)most;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 ||
        dup3(EXECUTOR_FD_SOCKET, e->socket_fd, O_CLOEXEC) < 0 || close(EXECUTOR_FD_SOCKET) != 0)
        _exit(71);
    files.rlim_cur = files.rlim_max = most;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        _exit(71);
}

static void prepare_self(void)
{
    /* A write over a limit fails with an error, where SIGXFSZ would look like a crash. */
    static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        (void)signal(ignored[i], SIG_IGN);
    /* Freed pictures stay with the heap between runs: fewer page faults; idle trims it. */
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_THRESHOLD);
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_THRESHOLD);
}

/* Its own page is all of the shared memory that an executor can ever reach. */
static void map_control(struct executor *e)
{
    void *page = mmap(NULL, CONTROL_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                      EXECUTOR_FD_MEMORY, e->control_offset);
    if (page == MAP_FAILED)
        _exit(71);
    (void)close(EXECUTOR_FD_MEMORY);
    e->control = page;
}

static void enter_sandbox(struct executor *e)
{
    struct error why;
    e->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    run_watch_memory();
    if (sandbox_enter(&e->sandbox, &why) == 0)
        return;
    log_write(LOG_ERROR, "the executor cannot be confined", LOG_ERR(why));
    _exit(71);
}

static void preload_modules(struct executor *e)
{
    char *names = arena_strdup(e->arena, e->preload ? e->preload : "");
    char *rest = names;
    for (char *name; (name = strsep(&rest, " ")) != NULL;) {
        struct error why;
        if (*name && module_preload(e->modules, name, &why) != 0)
            log_write(LOG_WARNING, why.detail, LOG_STR("cause", why.cause));
    }
    arena_reset(e->arena);
}

/* Ready for the first run; what is said after that is nobody's business. */
static void tell_ready(const struct executor *e)
{
    uint64_t one = 1;
    atomic_store(&e->control->ready, 1);
    (void)!write(EXECUTOR_FD_READY, &one, sizeof(one));
    (void)close(EXECUTOR_FD_READY);
}

/* About max_runs, differently for each: a pool's executors must not go all at once. */
static long jittered(long max_runs)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        random = (uint32_t)getpid();
    long spread = max_runs / 5;
    return max_runs + (spread > 0 ? (long)(random % (uint32_t)(2 * spread + 1)) - spread : 0);
}

static size_t resident_bytes(const struct executor *e)
{
    char text[128];
    ssize_t size = pread(e->statm_fd, text, sizeof(text) - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    char *second = strchr(text, ' '); /* "size resident shared …", in pages */
    return second ? strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

static void give_memory_back(struct executor *e)
{
    module_set_trim(e->modules);
    (void)malloc_trim(0);
    e->resident = resident_bytes(e);
}

/* A module that leaks descriptors must not starve the runs that follow: a new number tells how
 * many. */
static bool has_leaked_files(const struct executor *e)
{
    int fd = fcntl(e->statm_fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
        (void)close(fd);
    return fd < 0 || fd >= FILES_LEAKED + e->link_count;
}

static void look_at_self(struct executor *e)
{
    e->resident = resident_bytes(e);
    atomic_store(&e->control->resident, e->resident);
    e->keeps_much = e->resident > (size_t)e->idle_mb << 20 || has_leaked_files(e);
    e->has_looked = true;
    e->looked_us = clock_us();
}

/* What runs leave behind is not to be the next one's trouble: an executor that stays large, or
 * holds too many descriptors, is replaced by a fresh one. */
static void give_back(struct executor *e)
{
    give_memory_back(e);
    look_at_self(e);
    if (e->keeps_much)
        e->runs_left = 0;
}

static void on_idle(struct executor *e)
{
    if (!e->is_trimmed) {
        give_back(e);
        run_skip_usage(e->resident);
    }
    e->is_trimmed = true;
}

/* Before a run's end is told: may another follow at once? Runs of some microseconds come by the
 * hundred in a burst; what they can leave behind within a millisecond is little. */
static bool lingers(struct executor *e)
{
    e->has_looked = false;
    if (clock_us() - e->looked_us >= LOOK_US)
        look_at_self(e);
    return e->keeps_much || e->runs_left <= 0;
}

static void clean_up(struct executor *e)
{
    arena_reset(e->arena);
    e->is_trimmed = false;
    if (e->keeps_much)
        give_back(e);
    if (e->has_looked)
        run_skip_usage(e->resident);
}

/* Say that runs are taken. */
static int tell_idle(int fd, uint64_t run)
{
    struct error why;
    struct payload nothing = PAYLOAD_INIT;
    return wire_send(fd, WIRE_IDLE, run, &nothing, 0, &why);
}

static int compute(struct executor *e, int fd, const struct wire_message *m)
{
    struct error error = {0};
    struct run_usage used = {0};
    struct order order;
    const struct task *task;
    struct run *run = NULL;
    int result = -1;
    if (order_decode(m, e->arena, &order, &error) == 0 &&
        module_find_task(e->modules, order.module, order.task, &task, &error) == 0 &&
        run_new(e->arena, m, &order, e->control, &run, &error) == 0) {
        e->runs_left--;
        result = run_compute(run, task, fd, &used, &error);
    }
    atomic_store(&e->control->run, 0); /* if it ended before it was computed */
    used.lingers = lingers(e);
    return result == 0 ? run_send_result(run, fd, &used)
                       : run_send_error(run, fd, m->run, &error, &used);
}

/* Take the order from a connection and compute it, if it was not withdrawn. False: the worker let
 * go of the connection. */
static bool serve_connection(struct executor *e, int fd)
{
    struct wire_message m;
    struct error why;
    if (wire_receive(fd, ORDER_MAX, &m, &why) <= 0)
        return false;
    bool is_ours = control_begin(e->control, m.run);
    int result = is_ours ? compute(e, fd, &m) : 0;
    payload_release(&m.payload);
    if (!is_ours)
        return true;
    bool has_lingered = e->keeps_much;
    clean_up(e);
    if (result == 0 && has_lingered && e->runs_left > 0)
        (void)tell_idle(fd, m.run);
    return result == 0;
}

static void set_receive_timeout(int fd, int seconds)
{
    struct timeval timeout = {.tv_sec = seconds};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

/* Who connected to the one before learns that it must ask for another. */
static void refuse_predecessors_runs(const struct executor *e)
{
    struct pollfd waiting = {.fd = e->socket_fd, .events = POLLIN};
    while (poll(&waiting, 1, 0) > 0)
        (void)close(accept4(e->socket_fd, NULL, NULL, SOCK_CLOEXEC));
}

static void watch_connection(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        _exit(71);
}

static void accept_connection(struct executor *e, int epoll_fd)
{
    int fd = accept4(e->socket_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        _exit(71);
    if (fd < 0)
        return;
    watch_connection(epoll_fd, fd);
    e->link_count++;
}

static void on_readable(struct executor *e, int epoll_fd, int fd)
{
    if (fd == e->socket_fd) {
        accept_connection(e, epoll_fd);
    } else if (!serve_connection(e, fd)) {
        (void)close(fd);
        e->link_count--;
    }
}

/* In a pool: workers keep their connections, and each order on one is a run. They are served in the
 * order in which they came. */
static void serve_listening(struct executor *e)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        _exit(71);
    watch_connection(epoll_fd, e->socket_fd);
    while (e->runs_left > 0) {
        int count = epoll_wait(epoll_fd, events, EVENTS_AT_ONCE, IDLE_SECONDS * 1000);
        if (count < 0 && errno != EINTR)
            _exit(71);
        if (count == 0)
            on_idle(e);
        for (int i = 0; i < count && e->runs_left > 0; i++)
            on_readable(e, epoll_fd, events[i].data.fd);
    }
}

/* Take the next order of those that are queued, if it was not withdrawn. False: the runner is gone.
 */
static bool serve_next(struct executor *e)
{
    struct wire_message m;
    struct error why;
    int got = wire_receive(e->socket_fd, ORDER_MAX, &m, &why);
    if (got < 0 && why.code == ERR_STOPPED) {
        on_idle(e);
        return true;
    }
    if (got <= 0)
        return false;
    bool is_ours = control_begin(e->control, m.run);
    int result = is_ours ? compute(e, e->socket_fd, &m) : 0;
    payload_release(&m.payload);
    if (is_ours)
        clean_up(e);
    return result == 0;
}

/* Under a runner: one connection for life, which says when it is ready. */
static void serve_connected(struct executor *e)
{
    if (tell_idle(e->socket_fd, 0) != 0)
        return;
    while (e->runs_left > 0 && serve_next(e))
        continue;
}

int main(int argc, char **argv)
{
    static struct executor e;
    log_init("executor", LOG_INFO);
    parse_options(&e, argc, argv);
    tie_to_parent(&e);
    limit_files(&e);
    prepare_self();
    map_control(&e);
    set_receive_timeout(e.socket_fd, IDLE_SECONDS);
    enter_sandbox(&e);
    e.arena = arena_new();
    e.modules = module_set_new(e.sandbox.modules_dir);
    if (!e.modules)
        _exit(71);
    e.runs_left = jittered(e.max_runs);
    preload_modules(&e);
    e.resident = resident_bytes(&e);
    atomic_store(&e.control->resident, e.resident);
    run_skip_usage(e.resident);
    if (e.is_listening)
        refuse_predecessors_runs(&e);
    tell_ready(&e);
    if (e.is_listening)
        serve_listening(&e);
    else
        serve_connected(&e);
    _exit(EXECUTOR_RECYCLED);
}
