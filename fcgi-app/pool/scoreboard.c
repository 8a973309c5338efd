/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scoreboard.c - see scoreboard.h
 */
#include "pool/scoreboard.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define PLACE_WAIT_US 500000
#define PLACE_LOOK_NS 500000 /* between two looks; few wait, since most of the workers are in */
#define LISTENERS_LOOK 32    /* so many others are looked at for one that waits for connections */

static size_t map_size(int count)
{
    return sizeof(struct scoreboard_shared) + (size_t)count * sizeof(struct worker_record);
}

/* Takes b->fd over. */
static int map(struct scoreboard b, struct scoreboard *ret_board, struct error *reterr)
{
    void *memory = mmap(NULL, map_size(b.count), PROT_READ | PROT_WRITE, MAP_SHARED, b.fd, 0);
    if (memory == MAP_FAILED) {
        (void)error_errno(reterr, "scoreboard: mmap");
        scoreboard_close(&b);
        return -1;
    }
    b.shared = memory;
    b.workers = (struct worker_record *)(b.shared + 1);
    *ret_board = b;
    return 0;
}

int scoreboard_create(int count, int kept_max, struct scoreboard *ret_board, struct error *reterr)
{
    struct scoreboard b = {.count = count};
    b.fd = memfd_create("gangsaw-scoreboard", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (b.fd < 0 || ftruncate(b.fd, (off_t)map_size(count)) != 0 ||
        fcntl(b.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        (void)error_errno(reterr, "scoreboard: memfd");
        scoreboard_close(&b);
        return -1;
    }
    if (map(b, ret_board, reterr) != 0)
        return -1;
    ret_board->shared->kept_max = kept_max;
    return 0;
}

int scoreboard_join(int fd, int index, struct scoreboard *ret_board, struct error *reterr)
{
    struct stat st = {0};
    struct scoreboard b = {.fd = fd, .index = index};
    if (fstat(fd, &st) == 0 && (size_t)st.st_size > map_size(0))
        b.count = (int)(((size_t)st.st_size - map_size(0)) / sizeof(*b.workers));
    if (index < 0 || index >= b.count || (size_t)st.st_size != map_size(b.count)) {
        scoreboard_close(&b);
        return error_internal(reterr,
                              "scoreboard: the master runs another build; restart the pool");
    }
    if (map(b, ret_board, reterr) != 0)
        return -1;
    scoreboard_leave(ret_board); /* what its predecessor had when it died */
    for (ret_board->kept = 0; ret_board->kept < ret_board->shared->kept_max; ret_board->kept++)
        scoreboard_unkeep(ret_board);
    ret_board->kept = index;
    return 0;
}

void scoreboard_close(struct scoreboard *b)
{
    if (!b)
        return;
    if (b->shared)
        (void)munmap(b->shared, map_size(b->count));
    if (b->fd >= 0)
        (void)close(b->fd);
    *b = (struct scoreboard){.fd = -1};
}

/* ---- places in the database */

int scoreboard_places(const struct scoreboard *b, enum api_use use)
{
    int places = b->count - b->shared->kept_max - (use == API_USE_LONG ? 2 : 1);
    return places > 0 ? places : 1;
}

static bool take(struct scoreboard *b, enum api_use use)
{
    int places = scoreboard_places(b, use);
    int32_t me = b->index + 1;
    for (int i = 0; i < places; i++) {
        if (atomic_load(&b->workers[i].owners[use]) == me)
            return true;
    }
    for (int i = 0; i < places; i++) {
        int32_t nobody = 0;
        if (atomic_compare_exchange_strong(&b->workers[i].owners[use], &nobody, me))
            return true;
    }
    return false;
}

static void give(struct scoreboard *b, enum api_use use)
{
    bool had_one = false;
    for (int i = 0; i < scoreboard_places(b, use); i++) {
        int32_t me = b->index + 1;
        had_one = atomic_compare_exchange_strong(&b->workers[i].owners[use], &me, 0) || had_one;
    }
    if (had_one)
        atomic_store(&b->shared->is_stuck[use], 0);
}

static bool take_until(struct scoreboard *b, enum api_use use, int64_t end_us)
{
    while (!take(b, use)) {
        if (atomic_load(&b->shared->is_stuck[use]) != 0)
            return false;
        if (clock_us() >= end_us) {
            atomic_store(&b->shared->is_stuck[use], 1);
            return false;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = PLACE_LOOK_NS}, NULL);
    }
    return true;
}

bool scoreboard_enter(struct scoreboard *b, enum api_use use, bool may_wait)
{
    int64_t end_us = clock_us() + PLACE_WAIT_US;
    for (int each = (int)use; each >= API_USE_SHORT; each--) {
        enum api_use wanted = (enum api_use)each;
        if (!(may_wait ? take_until(b, wanted, end_us) : take(b, wanted)))
            return false; /* what it has goes with the request */
    }
    return true;
}

void scoreboard_leave(struct scoreboard *b)
{
    give(b, API_USE_LONG);
    give(b, API_USE_SHORT);
}

/* ---- kept connections */

bool scoreboard_has_listener(const struct scoreboard *b)
{
    for (int i = 1; i <= LISTENERS_LOOK && i < b->count; i++) {
        if (atomic_load(&b->workers[(b->index + i) % b->count].state) == WORKER_IDLE)
            return true;
    }
    return false;
}

bool scoreboard_keep(struct scoreboard *b)
{
    int places = b->shared->kept_max;
    for (int i = 0; i < places; i++) {
        int place = (b->kept + i) % places;
        int32_t nobody = 0;
        if (atomic_load(&b->workers[place].keeper) != 0 ||
            !atomic_compare_exchange_strong(&b->workers[place].keeper, &nobody, b->index + 1))
            continue;
        b->kept = place;
        return true;
    }
    return false;
}

void scoreboard_unkeep(struct scoreboard *b)
{
    int32_t me = b->index + 1;
    (void)atomic_compare_exchange_strong(&b->workers[b->kept].keeper, &me, 0);
}

void worker_enter(struct worker_record *w, enum worker_state state)
{
    atomic_store(&w->since_us, clock_us());
    atomic_store(&w->state, (int32_t)state);
}

const char *worker_state_name(enum worker_state state)
{
    switch (state) {
    case WORKER_NONE:
        return "none";
    case WORKER_STARTING:
        return "starting";
    case WORKER_IDLE:
    case WORKER_KEPT:
        return "idle";
    case WORKER_BUSY:
        return "busy";
    case WORKER_DRAINING:
        return "draining";
    }
    return "none";
}
