/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sandbox_calls.c - seccomp: the system calls that computing takes
 *
 * An allow-list; what is not on it answers ENOSYS, as an older kernel would. It was found by
 * running every task under executor.sandbox = strict, which tests/faults/test_sandbox.py goes on
 * doing. To add one: a row below, with the least of its arguments that will do.
 *
 * The socket that an executor listens on is shared with its successors: nothing may change its
 * state. No class has a pair of sockets: what is sent through it gets another number, that socket
 * too, and descriptors under way count against every process of the user.
 *
 * A mapping may not grow: that of the control page would grow over the pages of all executors
 * behind it, which lie in the same memory.
 *
 * Memory is private or a file's, which a memfd is: shared memory without a descriptor, once let go
 * of, and that of huge pages would show in no figure that the parent looks at.
 *
 * Memory may be made executable: modules are loaded on first use, and engines compile code as they
 * run. The kernel looks at the lower half of a descriptor alone, so descriptors are told apart by a
 * bit of theirs, not by comparing them.
 */
#include "exec/sandbox_internal.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const int plain_calls[] = {
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(mincore), SCMP_SYS(mprotect), SCMP_SYS(munmap),
    SCMP_SYS(membarrier),
    /* files, of which Landlock leaves some to read; memfds to write */
    SCMP_SYS(access), SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(fadvise64), SCMP_SYS(fallocate), SCMP_SYS(fstat),
    SCMP_SYS(fstatfs), SCMP_SYS(ftruncate), SCMP_SYS(getcwd), SCMP_SYS(getdents64), SCMP_SYS(lseek),
    SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(pwrite64),
    SCMP_SYS(pwritev), SCMP_SYS(read), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(readv),
    SCMP_SYS(stat), SCMP_SYS(statfs), SCMP_SYS(statx), SCMP_SYS(write), SCMP_SYS(writev),
    /* waiting, within the process */
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_wait),
    SCMP_SYS(eventfd2), SCMP_SYS(futex), SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(poll),
    SCMP_SYS(ppoll), SCMP_SYS(pselect6), SCMP_SYS(select),
    /* time */
    SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(nanosleep), SCMP_SYS(time), SCMP_SYS(times),
    /* threads */
    SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(get_robust_list), SCMP_SYS(getcpu),
    SCMP_SYS(gettid), SCMP_SYS(restart_syscall), SCMP_SYS(rseq), SCMP_SYS(sched_get_priority_max),
    SCMP_SYS(sched_get_priority_min), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_getattr),
    SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler), SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    /* signals of its own */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigsuspend), SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sigaltstack),
    /* who and where it is */
    SCMP_SYS(getegid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getpid), SCMP_SYS(getppid),
    SCMP_SYS(getrandom), SCMP_SYS(getrlimit), SCMP_SYS(getrusage), SCMP_SYS(getuid),
    SCMP_SYS(sysinfo), SCMP_SYS(umask), SCMP_SYS(uname),
    /* what a run's soft limits are set by, below hard ones */
    SCMP_SYS(setrlimit),
    /* the sockets that it has */
    SCMP_SYS(accept4), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg)};

static const int net_calls[] = {SCMP_SYS(connect),    SCMP_SYS(getpeername), SCMP_SYS(getsockname),
                                SCMP_SYS(getsockopt), SCMP_SYS(recvfrom),    SCMP_SYS(recvmmsg),
                                SCMP_SYS(sendmmsg),   SCMP_SYS(sendto)};

/* A call with conditions, up to three, which all have to hold. */
struct rule {
    int call;
    unsigned count;
    struct scmp_arg_cmp args[3];
};

#define IS(n, value)                               \
    {                                              \
        (n), SCMP_CMP_EQ, (scmp_datum_t)(value), 0 \
    }
#define HAS(n, mask, value)                      \
    {                                            \
        (n), SCMP_CMP_MASKED_EQ, (mask), (value) \
    }
/* add_rule() puts the bit of the shared descriptor in. */
#define NOT_SHARED(n) HAS(n, UINT64_MAX, UINT64_MAX)

#define THREAD_FLAGS (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)
#define NAMESPACE_FLAGS                                                                           \
    (CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER | \
     CLONE_NEWUTS)
#define MEMFD_FLAGS (MFD_CLOEXEC | MFD_ALLOW_SEALING)
#define MAP_PRIVATE_ALONE (MAP_ANONYMOUS | MAP_SHARED | MAP_HUGETLB)

static const struct rule rules[] = {
    {SCMP_SYS(clone), 1, {HAS(0, THREAD_FLAGS | NAMESPACE_FLAGS | CLONE_PTRACE, THREAD_FLAGS)}},
    {SCMP_SYS(mmap), 1, {HAS(3, MAP_ANONYMOUS, 0)}},
    {SCMP_SYS(mmap), 1, {HAS(3, MAP_PRIVATE_ALONE, MAP_ANONYMOUS)}},
    /* Landlock denies truncating from its version 3 on only, and it takes no right to write. */
    {SCMP_SYS(open), 1, {HAS(1, O_TRUNC, 0)}},
    {SCMP_SYS(openat), 1, {HAS(2, O_TRUNC, 0)}},
    {SCMP_SYS(memfd_create), 1, {HAS(1, ~(scmp_datum_t)MEMFD_FLAGS, 0)}},
    {SCMP_SYS(prlimit64), 1, {IS(0, 0)}},
    {SCMP_SYS(prctl), 1, {IS(0, PR_SET_NAME)}},
    {SCMP_SYS(prctl), 1, {IS(0, PR_GET_NAME)}},
    {SCMP_SYS(ioctl), 1, {IS(1, TCGETS)}},
    {SCMP_SYS(ioctl), 1, {IS(1, FIONREAD)}},
    /* No owner to signal, no lease, no lock. */
    {SCMP_SYS(dup), 1, {NOT_SHARED(0)}},
    {SCMP_SYS(dup2), 1, {NOT_SHARED(0)}},
    {SCMP_SYS(dup3), 1, {NOT_SHARED(0)}},
    {SCMP_SYS(fcntl), 2, {NOT_SHARED(0), IS(1, F_DUPFD)}},
    {SCMP_SYS(fcntl), 2, {NOT_SHARED(0), IS(1, F_DUPFD_CLOEXEC)}},
    {SCMP_SYS(fcntl), 1, {IS(1, F_GETFD)}},
    {SCMP_SYS(fcntl), 1, {IS(1, F_SETFD)}},
    {SCMP_SYS(fcntl), 1, {IS(1, F_GETFL)}},
    {SCMP_SYS(fcntl), 1, {IS(1, F_ADD_SEALS)}},
    {SCMP_SYS(fcntl), 1, {IS(1, F_GET_SEALS)}},
    {SCMP_SYS(setsockopt), 3, {NOT_SHARED(0), IS(1, SOL_SOCKET), IS(2, SO_RCVTIMEO)}},
};

#define SOCKET_TYPE 0xf /* of the second argument, which has flags too */
#define SOCKET(family, type, protocol)                                \
    {                                                                 \
        SCMP_SYS(socket), 3,                                          \
        {                                                             \
            IS(0, family), HAS(1, SOCKET_TYPE, type), IS(2, protocol) \
        }                                                             \
    }

static const struct rule net_rules[] = {
    SOCKET(AF_INET, SOCK_STREAM, 0),
    SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
    SOCKET(AF_INET, SOCK_DGRAM, 0),
    SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
    SOCKET(AF_INET6, SOCK_STREAM, 0),
    SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
    SOCKET(AF_INET6, SOCK_DGRAM, 0),
    SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
    {SCMP_SYS(setsockopt), 1, {NOT_SHARED(0)}},
    {SCMP_SYS(shutdown), 1, {NOT_SHARED(0)}},
    {SCMP_SYS(fcntl), 2, {NOT_SHARED(0), IS(1, F_SETFL)}},
    {SCMP_SYS(ioctl), 2, {NOT_SHARED(0), IS(1, FIONBIO)}},
};

/* Only itself; Landlock says the same where its version is new enough. */
static const int signal_calls[] = {SCMP_SYS(kill), SCMP_SYS(rt_sigqueueinfo),
                                   SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(tgkill), SCMP_SYS(tkill)};

/* What libraries try and can do without: no reason to kill in strict mode. */
static const struct rule refused[] = {
    {SCMP_SYS(clone3), 0, {{0}}},
    {SCMP_SYS(get_mempolicy), 0, {{0}}}, /* libnuma, which comes with libheif, when it is loaded */
    {SCMP_SYS(mremap), 0, {{0}}},
    {SCMP_SYS(open), 1, {HAS(1, O_TRUNC, O_TRUNC)}},
    {SCMP_SYS(openat), 1, {HAS(2, O_TRUNC, O_TRUNC)}},
    {SCMP_SYS(sched_setattr), 0, {{0}}},
};
static const struct rule net_refused[] = {
    {SCMP_SYS(socket), 1, {IS(0, AF_UNIX)}},
    {SCMP_SYS(socket), 1, {IS(0, AF_NETLINK)}},
};

struct filter {
    scmp_filter_ctx context;
    int shared_fd;
    int failed; /* errno of the first rule that was not taken */
};

static void add_rule(struct filter *f, uint32_t action, const struct rule *rule)
{
    struct scmp_arg_cmp args[COUNT(rule->args)];
    memcpy(args, rule->args, sizeof(args));
    for (unsigned i = 0; i < rule->count; i++) {
        if (args[i].op == SCMP_CMP_MASKED_EQ && args[i].datum_a == UINT64_MAX) {
            args[i].datum_a = (scmp_datum_t)f->shared_fd;
            args[i].datum_b = 0;
        }
    }
    int result = seccomp_rule_add_array(f->context, action, rule->call, rule->count, args);
    if (result != 0 && f->failed == 0)
        f->failed = -result;
}

static void add_rules(struct filter *f, uint32_t action, const struct rule *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_rule(f, action, &list[i]);
}

static void add_calls(struct filter *f, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_rule(f, SCMP_ACT_ALLOW, &(struct rule){.call = calls[i]});
}

static void fill(struct filter *f, const struct sandbox *s)
{
    add_calls(f, plain_calls, COUNT(plain_calls));
    add_rules(f, SCMP_ACT_ALLOW, rules, COUNT(rules));
    for (size_t i = 0; i < COUNT(signal_calls); i++)
        add_rule(f, SCMP_ACT_ALLOW, &(struct rule){signal_calls[i], 1, {IS(0, getpid())}});
    if (s->class == TASK_NET) {
        add_calls(f, net_calls, COUNT(net_calls));
        add_rules(f, SCMP_ACT_ALLOW, net_rules, COUNT(net_rules));
    }
    if (s->mode != SANDBOX_STRICT) /* otherwise they are refused as all others are */
        return;
    add_rules(f, SCMP_ACT_ERRNO(ENOSYS), refused, COUNT(refused));
    if (s->class == TASK_NET)
        add_rules(f, SCMP_ACT_ERRNO(ENOSYS), net_refused, COUNT(net_refused));
}

int sandbox_restrict_calls(const struct sandbox *s, struct error *reterr)
{
    uint32_t otherwise = s->mode == SANDBOX_STRICT ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(ENOSYS);
    struct filter f = {.context = seccomp_init(otherwise), .shared_fd = s->shared_fd};
    if (!f.context)
        return error_internal(reterr, "sandbox: seccomp_init");
    /* A search tree instead of a list of comparisons. */
    (void)seccomp_attr_set(f.context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    (void)seccomp_attr_set(f.context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    fill(&f, s);
    if (f.failed == 0)
        f.failed = -seccomp_load(f.context);
    seccomp_release(f.context);
    if (f.failed == 0)
        return 0;
    errno = f.failed;
    return error_errno(reterr, "sandbox: seccomp");
}
