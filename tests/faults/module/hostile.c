/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile.c - what code would do that has taken over its executor, one attempt a run
 *
 * The result says what came of it: the error's name, or "" and a number. Attempts that would
 * succeed without a sandbox are harmless where they can be.
 */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define THREADS_MAX 20000

/* The run's parameters, of which each attempt takes what it needs. */
struct target {
    const char *path;
    long number;
};

/* ---- files */

static long read_file(const struct target *t)
{
    char bytes[64];
    int fd = open(t->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -1;
    long size = read(fd, bytes, sizeof(bytes));
    close(fd);
    return size;
}

static long list_folder(const struct target *t)
{
    int fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? -1 : 0;
}

static long write_file(const struct target *t)
{
    int fd = open(t->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    long size = write(fd, "hostile", 7);
    close(fd);
    return size;
}

static long append_file(const struct target *t)
{
    int fd = open(t->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? -1 : 0;
}

/* ---- memory */

#define MEMFDS_MAX 2000

/* So many MiB, in memfds as large as they may be, not mapped. */
static long fill_memfds(const struct target *t)
{
    static int fds[MEMFDS_MAX];
    struct rlimit most;
    getrlimit(RLIMIT_FSIZE, &most);
    off_t wanted = (off_t)t->number << 20, held = 0;
    int count = 0, error = 0;
    for (; held < wanted && error == 0 && count < MEMFDS_MAX; held += (off_t)most.rlim_cur) {
        fds[count] = memfd_create("hostile", MFD_CLOEXEC);
        if (fds[count] < 0 || fallocate(fds[count], 0, 0, (off_t)most.rlim_cur) != 0)
            error = errno;
        if (fds[count] >= 0)
            count++;
    }
    usleep(2000000); /* for somebody to look at it */
    while (count > 0)
        close(fds[--count]);
    errno = error;
    return error || held < wanted ? -1 : (long)(held >> 20);
}

/* What does not show in the number of resident pages once it is let go of. */
static long map_shared(const struct target *t)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | (int)t->number, -1, 0);
    return memory == MAP_FAILED ? -1 : 0;
}

/* ---- sockets */

static long connect_inet(const struct target *t)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)t->number),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    long result = connect(fd, (struct sockaddr *)&address, sizeof(address));
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

static long connect_unix(const struct target *t)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    strncpy(address.sun_path, t->path, sizeof(address.sun_path) - 1);
    return connect(fd, (struct sockaddr *)&address, sizeof(address));
}

static long listen_inet(const struct target *t)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)t;
    return fd < 0 ? -1 : listen(fd, 1);
}

static long resolve(const struct target *t)
{
    struct addrinfo *found = NULL;
    int result = getaddrinfo(t->path, "80", NULL, &found);
    if (result == 0)
        freeaddrinfo(found);
    errno = EADDRNOTAVAIL;
    return result == 0 ? 0 : -1;
}

/* The one that it listens on, and its successors after it. */
static int shared_socket(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    return (int)files.rlim_cur;
}

static long shut_shared_socket(const struct target *t)
{
    (void)t;
    return shutdown(shared_socket(), SHUT_RDWR);
}

static long unblock_shared_socket(const struct target *t)
{
    (void)t;
    return fcntl(shared_socket(), F_SETFL, O_NONBLOCK);
}

static long set_shared_socket(const struct target *t)
{
    struct timeval soon = {.tv_usec = 1};
    (void)t;
    return setsockopt(shared_socket(), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
}

static long copy_shared_socket(const struct target *t)
{
    (void)t;
    return dup(shared_socket());
}

/* The kernel looks at the lower half of the number alone. */
static long disguise_shared_socket(const struct target *t)
{
    (void)t;
    return syscall(SYS_fcntl, (1L << 32) + shared_socket(), F_SETFL, O_NONBLOCK);
}

/* Another run of the class, which waits or is handed out while this one goes on. */
static long accept_runs(const struct target *t)
{
    int fd = -1;
    for (time_t end = time(NULL) + (time_t)t->number; fd < 0 && time(NULL) < end;)
        fd = accept4(shared_socket(), NULL, NULL, SOCK_CLOEXEC); /* for a second */
    if (fd >= 0)
        (void)close(fd);
    return fd;
}

/* ---- processes */

static long start_process(long call)
{
    long pid = syscall(call);
    if (pid == 0)
        _exit(0);
    return pid;
}

static long try_fork(const struct target *t)
{
    (void)t;
    return start_process(SYS_fork);
}

static long try_vfork(const struct target *t)
{
    (void)t;
    return start_process(SYS_vfork);
}

static long try_clone(const struct target *t)
{
    (void)t;
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return pid;
}

static long try_exec(const struct target *t)
{
    char *const argv[] = {(char *)(uintptr_t)t->path, NULL};
    return execve(t->path, argv, argv + 1);
}

static void *wait_for_ever(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}

static long start_threads(const struct target *t)
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    long count = 0;
    for (pthread_t thread; count < t->number && count < THREADS_MAX; count++) {
        errno = pthread_create(&thread, &small, wait_for_ever, NULL);
        if (errno != 0)
            return -1;
    }
    usleep(500000); /* for somebody to look at it */
    return count;
}

static long raise_limit(const struct target *t)
{
    struct rlimit files;
    (void)t;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max = files.rlim_max + 1;
    return setrlimit(RLIMIT_NOFILE, &files);
}

static long read_memory(const struct target *t)
{
    char bytes[8];
    struct iovec here = {bytes, sizeof(bytes)}, there = {(void *)(uintptr_t)0x400000, 8};
    return process_vm_readv((pid_t)t->number, &here, 1, &there, 1, 0);
}

static long own_signals(const struct target *t)
{
    return fcntl(STDERR_FILENO, F_SETOWN, (int)t->number);
}

static const struct {
    const char *name;
    long (*attempt)(const struct target *t);
} attempts[] = {
    {"read", read_file},
    {"list", list_folder},
    {"write", write_file},
    {"append", append_file},
    {"memfds", fill_memfds},
    {"map", map_shared},
    {"connect", connect_inet},
    {"connect_unix", connect_unix},
    {"listen", listen_inet},
    {"resolve", resolve},
    {"shared_shutdown", shut_shared_socket},
    {"shared_nonblock", unblock_shared_socket},
    {"shared_timeout", set_shared_socket},
    {"shared_dup", copy_shared_socket},
    {"shared_disguised", disguise_shared_socket},
    {"accept", accept_runs},
    {"fork", try_fork},
    {"vfork", try_vfork},
    {"clone", try_clone},
    {"exec", try_exec},
    {"threads", start_threads},
    {"raise_limit", raise_limit},
    {"process_vm_readv", read_memory},
    {"setown", own_signals},
};

/* Plain calls: PATH and NUMBER stand for the parameters. */
#define PATH (-1001)
#define NUMBER (-1002)

static const struct {
    const char *name;
    long call, args[5];
} calls[] = {
    {"unlink", SYS_unlinkat, {AT_FDCWD, PATH}},
    {"mkdir", SYS_mkdirat, {AT_FDCWD, PATH, 0700}},
    {"rename", SYS_renameat2, {AT_FDCWD, PATH, AT_FDCWD, PATH}},
    {"chmod", SYS_fchmodat, {AT_FDCWD, PATH, 0777}},
    {"symlink", SYS_symlinkat, {PATH, AT_FDCWD, PATH}},
    {"mknod", SYS_mknodat, {AT_FDCWD, PATH, S_IFIFO}},
    {"truncate", SYS_truncate, {PATH}},
    {"open_trunc", SYS_open, {PATH, O_RDONLY | O_TRUNC}},
    {"openat_trunc", SYS_openat, {AT_FDCWD, PATH, O_RDONLY | O_TRUNC}},
    {"mount", SYS_mount, {PATH, PATH}},
    {"chroot", SYS_chroot, {PATH}},
    {"pivot_root", SYS_pivot_root, {PATH, PATH}},
    {"name_to_handle_at", SYS_name_to_handle_at, {AT_FDCWD, PATH}},
    {"open_by_handle_at", SYS_open_by_handle_at, {AT_FDCWD}},
    {"inotify_init1", SYS_inotify_init1, {0}},
    {"fanotify_init", SYS_fanotify_init, {0}},
    {"inet", SYS_socket, {AF_INET, SOCK_STREAM}},
    {"inet_raw", SYS_socket, {AF_INET, SOCK_RAW, IPPROTO_ICMP}},
    {"icmp", SYS_socket, {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}},
    {"netlink", SYS_socket, {AF_NETLINK, SOCK_RAW}},
    {"packet", SYS_socket, {AF_PACKET, SOCK_RAW}},
    {"vsock", SYS_socket, {AF_VSOCK, SOCK_STREAM}},
    {"unix", SYS_socket, {AF_UNIX, SOCK_STREAM}},
    {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, PATH}},
    {"clone3", SYS_clone3, {0}},
    {"mremap", SYS_mremap, {PATH, 4096, 8192, MREMAP_MAYMOVE}},
    {"ptrace", SYS_ptrace, {PTRACE_ATTACH, NUMBER}},
    {"kill", SYS_kill, {NUMBER, SIGCONT}},
    {"tgkill", SYS_tgkill, {NUMBER, NUMBER, SIGCONT}},
    {"tkill", SYS_tkill, {NUMBER, SIGCONT}},
    {"pidfd_open", SYS_pidfd_open, {NUMBER}},
    {"kcmp", SYS_kcmp, {NUMBER, NUMBER}},
    {"setpriority", SYS_setpriority, {PRIO_PROCESS, NUMBER, 19}},
    {"prlimit", SYS_prlimit64, {NUMBER, RLIMIT_NOFILE}},
    {"sched_setaffinity", SYS_sched_setaffinity, {NUMBER}},
    {"sched_setscheduler", SYS_sched_setscheduler, {NUMBER}},
    {"setuid", SYS_setuid, {0}},
    {"setsid", SYS_setsid, {0}},
    {"unshare", SYS_unshare, {CLONE_NEWUSER}},
    {"setns", SYS_setns, {0}},
    {"personality", SYS_personality, {0}},
    {"keyctl", SYS_keyctl, {0}},
    {"add_key", SYS_add_key, {PATH, PATH}},
    {"bpf", SYS_bpf, {0}},
    {"perf_event_open", SYS_perf_event_open, {0}},
    {"userfaultfd", SYS_userfaultfd, {1}},
    {"io_uring_setup", SYS_io_uring_setup, {1}},
    {"pidfd_getfd", SYS_pidfd_getfd, {0}},
    {"init_module", SYS_init_module, {0}},
    {"seccomp", SYS_seccomp, {0}},
    {"shmget", SYS_shmget, {0, 4096, 0600 | 01000}},
    {"mq_open", SYS_mq_open, {PATH}},
    {"timer_create", SYS_timer_create, {0}},
    {"memfd_huge", SYS_memfd_create, {PATH, MFD_HUGETLB}},
    {"dumpable", SYS_prctl, {PR_SET_DUMPABLE, 0}},
    {"pdeathsig", SYS_prctl, {PR_SET_PDEATHSIG, 0}},
    {"set_mm", SYS_prctl, {PR_SET_MM, PR_SET_MM_BRK}},
    {"ptracer", SYS_prctl, {PR_SET_PTRACER, NUMBER}},
    {"tiocsti", SYS_ioctl, {0, TIOCSTI, PATH}},
};

static long argument(const struct target *t, long value)
{
    return value == PATH ? (long)(uintptr_t)t->path : value == NUMBER ? t->number : value;
}

/* False when there is no such attempt. */
static bool try_it(const char *name, const struct target *t, long *ret_value)
{
    for (size_t i = 0; i < COUNT(attempts); i++) {
        if (strcmp(name, attempts[i].name) == 0) {
            *ret_value = attempts[i].attempt(t);
            return true;
        }
    }
    for (size_t i = 0; i < COUNT(calls); i++) {
        if (strcmp(name, calls[i].name) == 0) {
            long a[COUNT(calls[i].args)];
            for (size_t k = 0; k < COUNT(a); k++)
                a[k] = argument(t, calls[i].args[k]);
            *ret_value = syscall(calls[i].call, a[0], a[1], a[2], a[3], a[4]);
            return true;
        }
    }
    return false;
}

int hostile(struct run *run, struct error *reterr)
{
    const cJSON *params = run_params(run);
    struct target t = {.path = cJSON_GetObjectItemCaseSensitive(params, "path")->valuestring,
                       .number =
                           (long)cJSON_GetObjectItemCaseSensitive(params, "number")->valuedouble};
    long value = 0;
    errno = 0;
    if (!try_it(cJSON_GetObjectItemCaseSensitive(params, "attempt")->valuestring, &t, &value))
        return error_set(reterr, ERR_INVALID_PARAMS, "There is no attempt of that name.");
    const char *error = value < 0 ? strerrorname_np(errno) : "";
    cJSON *result = cJSON_CreateObject();
    cJSON_AddStringToObject(result, "error", error ? error : "?");
    cJSON_AddNumberToObject(result, "value", (double)value);
    cJSON_AddNumberToObject(result, "pid", getpid());
    run_result(run, result);
    return 0;
}
