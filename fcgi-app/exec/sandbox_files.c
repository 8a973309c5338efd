/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sandbox_files.c - Landlock: an executor reads what libraries and engines are made of
 *
 * Constants are the kernel's (Documentation/userspace-api/landlock.rst), here because the headers
 * of a distribution are older than the kernels that it is run on: whatever the kernel can deny is
 * denied. Secrets lie in /etc, /proc and in the folders of the server: none of them is below a path
 * of these lists.
 */
#include "exec/sandbox_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset /* the same on all architectures */
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1

#define ACCESS_WRITE_FILE (UINT64_C(1) << 1)
#define ACCESS_READ_FILE (UINT64_C(1) << 2)
#define ACCESS_READ_DIR (UINT64_C(1) << 3)
#define ACCESS_BIND_TCP (UINT64_C(1) << 0)
#define ACCESS_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (UINT64_C(1) << 0)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

struct ruleset_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net; /* since version 4 */
    uint64_t scoped;             /* since version 6 */
};

struct path_beneath_attr {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

/* Rights on files by version: 13 at first; then renaming across folders, truncating, ioctl. */
static const int fs_right_counts[] = {13, 14, 15, 15, 16};

#define FS_VERSIONS ((int)(sizeof(fs_right_counts) / sizeof(fs_right_counts[0])))

/* What is missing on this host is left out. */
static const char *const readable[] = {
    /* libraries and what they load */
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache",
    "/etc/ssl/openssl.cnf",
    /* fonts */
    "/etc/fonts", "/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/fontconfig",
    "/var/cache/fontconfig", "/usr/share/poppler",
    /* models */
    "/usr/share/tesseract-ocr",
    /* languages and times */
    "/usr/share/locale", "/usr/share/zoneinfo", "/etc/localtime",
    /* devices */
    "/dev/urandom", "/dev/random", "/dev/zero", NULL};

/* Class net: the resolver, and whom TLS believes. */
static const char *const readable_net[] = {"/etc/resolv.conf",
                                           "/etc/hosts",
                                           "/etc/host.conf",
                                           "/etc/nsswitch.conf",
                                           "/etc/gai.conf",
                                           "/etc/services",
                                           "/etc/protocols",
                                           "/etc/ssl/certs",
                                           "/usr/share/ca-certificates",
                                           "/usr/local/share/ca-certificates",
                                           NULL};

int sandbox_files_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
    return version > 0 ? (int)version : 0;
}

/* Landlock takes rights on folders for folders alone. */
static int allow_fd(int ruleset, int fd, uint64_t access, struct error *reterr)
{
    struct stat st;
    struct path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};
    if (fstat(fd, &st) != 0)
        return error_errno(reterr, "sandbox: fstat");
    if (!S_ISDIR(st.st_mode))
        rule.allowed_access &= ~ACCESS_READ_DIR;
    if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) != 0)
        return error_errno(reterr, "sandbox: landlock_add_rule");
    return 0;
}

static int allow(int ruleset, int at, const char *path, uint64_t access, struct error *reterr)
{
    int fd = openat(at, path, O_PATH | O_CLOEXEC);
    if (fd < 0) /* not on this host, or not for this user, who then could not read it anyway */
        return 0;
    int result = allow_fd(ruleset, fd, access, reterr);
    (void)close(fd);
    return result;
}

static int allow_all(int ruleset, const char *const *paths, struct error *reterr)
{
    for (; *paths; paths++) {
        if (allow(ruleset, AT_FDCWD, *paths, ACCESS_READ_FILE | ACCESS_READ_DIR, reterr) != 0)
            return -1;
    }
    return 0;
}

/* The folder with all that lies in it; a module in it may be a link to where it was built. */
static int allow_modules(int ruleset, const char *folder, struct error *reterr)
{
    const uint64_t access = ACCESS_READ_FILE | ACCESS_READ_DIR;
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    int result = 0;
    if (!directory)
        return error_errno(reterr, "sandbox: the folder of modules");
    result = allow_fd(ruleset, dirfd(directory), access, reterr);
    while (result == 0 && (entry = readdir(directory)) != NULL) {
        const char *end = strrchr(entry->d_name, '.');
        if (end && strcmp(end, ".so") == 0)
            result = allow(ruleset, dirfd(directory), entry->d_name, ACCESS_READ_FILE, reterr);
    }
    (void)closedir(directory);
    return result;
}

static int add_rules(int ruleset, const struct sandbox *s, struct error *reterr)
{
    if (allow_all(ruleset, readable, reterr) != 0 ||
        allow(ruleset, AT_FDCWD, "/dev/null", ACCESS_READ_FILE | ACCESS_WRITE_FILE, reterr) != 0 ||
        allow_modules(ruleset, s->modules_dir, reterr) != 0)
        return -1;
    return s->class == TASK_NET ? allow_all(ruleset, readable_net, reterr) : 0;
}

/* All that this kernel can deny; a class that has sockets may connect, but never be connected to.
 */
static int create_ruleset(const struct sandbox *s, int version)
{
    int fs_rights = fs_right_counts[(version < FS_VERSIONS ? version : FS_VERSIONS) - 1];
    struct ruleset_attr attr = {.handled_access_fs = (UINT64_C(1) << fs_rights) - 1};
    size_t size = sizeof(attr.handled_access_fs);
    if (version >= 4) {
        attr.handled_access_net = ACCESS_BIND_TCP | (s->class == TASK_NET ? 0 : ACCESS_CONNECT_TCP);
        size = offsetof(struct ruleset_attr, scoped);
    }
    if (version >= 6) {
        attr.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
        size = sizeof(attr);
    }
    return (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
}

int sandbox_restrict_files(const struct sandbox *s, struct error *reterr)
{
    int ruleset = create_ruleset(s, sandbox_files_version());
    if (ruleset < 0)
        return error_errno(reterr, "sandbox: landlock_create_ruleset");
    int result = add_rules(ruleset, s, reterr);
    if (result == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        result = error_errno(reterr, "sandbox: landlock_restrict_self");
    (void)close(ruleset);
    return result;
}
