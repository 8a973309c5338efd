/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgroup.c - see cgroup.h
 *
 * The files read are those of cgroups(7), proc_pid_mountinfo(5) and the kernel's cgroup-v2.rst.
 */
#include "base/cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hierarchy { /* where this process stands in cgroup v1 or v2 */
    bool is_v2;
    const char *root, *controller;
    char path[PATH_MAX];        /* this process's cgroup */
    char mount_root[PATH_MAX];  /* which cgroup the mount point shows */
    char mount_point[PATH_MAX]; /* "" when it is not mounted */
};

/* Is `word` one of the comma-separated words of `list`? */
static bool list_has(const char *list, const char *word)
{
    size_t size = strlen(word);
    for (const char *p = list; p; p = strchr(p, ',')) {
        p += *p == ',' ? 1 : 0;
        if (strncmp(p, word, size) == 0 && (p[size] == ',' || p[size] == '\0'))
            return true;
    }
    return false;
}

/* Call each(h, line) for the lines of root/name until it returns true. */
static bool scan_lines(struct hierarchy *h, const char *name,
                       bool (*each)(struct hierarchy *h, char *line))
{
    char path[PATH_MAX];
    int size = snprintf(path, sizeof(path), "%s%s", h->root, name);
    FILE *file = size > 0 && (size_t)size < sizeof(path) ? fopen(path, "re") : NULL;
    if (!file)
        return false;
    bool is_found = false;
    char *line = NULL;
    size_t capacity = 0;
    while (!is_found && getline(&line, &capacity, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        is_found = each(h, line);
    }
    free(line);
    (void)fclose(file);
    return is_found;
}

static bool copy_path(char to[PATH_MAX], const char *from)
{
    size_t size = strlen(from);
    if (size >= PATH_MAX)
        return false;
    memcpy(to, from, size + 1);
    return true;
}

/* /proc/self/cgroup: "0::/path" in v2, "3:cpu,cpuacct:/path" in v1. */
static bool parse_cgroup_line(struct hierarchy *h, char *line)
{
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
        return false;
    *controllers++ = '\0';
    *path++ = '\0';
    bool is_ours =
        h->is_v2 ? strcmp(line, "0") == 0 && !*controllers : list_has(controllers, h->controller);
    return is_ours && copy_path(h->path, path);
}

/* mountinfo writes blanks and backslashes of a path as \040. */
static void unescape(char *text)
{
    char *out = text;
    for (const char *p = text; *p; p++) {
        if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
            p[3] >= '0' && p[3] <= '7') {
            *out++ = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
            p += 3;
        } else {
            *out++ = *p;
        }
    }
    *out = '\0';
}

/* /proc/self/mountinfo: "31 23 0:28 /root /mount/point rw,… shared:1 - cgroup2 source rw,…" */
static bool parse_mount_line(struct hierarchy *h, char *line)
{
    char *tail = strstr(line, " - ");
    if (!tail)
        return false;
    *tail = '\0';
    char *save = NULL;
    const char *type = strtok_r(tail + 3, " ", &save);
    (void)strtok_r(NULL, " ", &save); /* source */
    const char *options = strtok_r(NULL, " ", &save);
    if (!type || strcmp(type, h->is_v2 ? "cgroup2" : "cgroup") != 0)
        return false;
    if (!h->is_v2 && (!options || !list_has(options, h->controller)))
        return false;

    char *field = strtok_r(line, " ", &save); /* mount id, then parent and device */
    for (int i = 0; field && i < 3; i++)
        field = strtok_r(NULL, " ", &save);
    char *point = field ? strtok_r(NULL, " ", &save) : NULL;
    if (!point)
        return false;
    unescape(field);
    unescape(point);
    return copy_path(h->mount_root, field) && copy_path(h->mount_point, point);
}

/*
 * The path within the mount. A container may see another part of the hierarchy than the path
 * speaks of ("/docker/…" or "/../…"): then the mount point is the nearest that is known.
 */
static const char *path_in_mount(const struct hierarchy *h)
{
    size_t size = strlen(h->mount_root);
    if (strstr(h->path, "/.."))
        return "";
    if (strcmp(h->mount_root, "/") == 0)
        return h->path;
    if (strncmp(h->path, h->mount_root, size) == 0 &&
        (h->path[size] == '/' || h->path[size] == '\0'))
        return h->path + size;
    return "";
}

bool cgroup_read(const char *directory, const char *name, char *ret, size_t size)
{
    char path[2 * PATH_MAX + 64];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "re");
    bool is_read = file && fgets(ret, (int)size, file);
    if (file)
        (void)fclose(file);
    return is_read;
}

/* From this process's cgroup up to the mount point. */
static int64_t least_of(struct hierarchy *h, cgroup_limit *limit)
{
    if (!scan_lines(h, "/proc/self/cgroup", parse_cgroup_line) ||
        !scan_lines(h, "/proc/self/mountinfo", parse_mount_line))
        return INT64_MAX;

    char directory[2 * PATH_MAX + 1];
    int size = snprintf(directory, sizeof(directory), "%s%s", h->root, h->mount_point);
    if (size < 0 || (size_t)size >= PATH_MAX)
        return INT64_MAX;
    size_t top = (size_t)size;
    (void)snprintf(directory + top, sizeof(directory) - top, "%s", path_in_mount(h));
    int64_t least = limit(directory, h->is_v2);
    while (strlen(directory) > top) {
        char *slash = strrchr(directory + top, '/');
        *(slash ? slash : directory + top) = '\0';
        int64_t value = limit(directory, h->is_v2);
        least = value < least ? value : least;
    }
    return least;
}

int64_t cgroup_least(const char *root, const char *controller, cgroup_limit *limit)
{
    int64_t least = INT64_MAX;
    for (int v2 = 0; v2 <= 1; v2++) {
        struct hierarchy h = {.is_v2 = v2 == 1, .root = root, .controller = controller};
        int64_t value = least_of(&h, limit);
        least = value < least ? value : least;
    }
    return least;
}
