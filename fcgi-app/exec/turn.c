/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * turn.c - see turn.h
 *
 * A place's word is its ticket, with the number of the seat it has, from 1 and over all executors,
 * in the lower bits; 0: it has not asked. Who hands seat s of executor e to place p first puts its
 * own pid into e.seats[s], where 0 stood, and then the seat into p's word, where the bare ticket
 * stood. Each side writes its own word before it reads the other's, so of an idle executor and a
 * ticket that come in the same moment at least one is seen.
 *
 * Seat 0 is for who finds all seats empty. Two that look in the same moment may come into the same
 * executor all the same, one to each seat: then who connects later waits for the other, as if it
 * had gone ahead.
 */
#include "exec/turn.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/self.h"

#define SEAT_BITS 16 /* 5120 executors at most: base/config.c */
#define SEAT_MASK (((uint64_t)1 << SEAT_BITS) - 1)
#define AHEAD_US 2000 /* of computing that may stand between a run and its executor */

/* Over all executors; -1: none. */
static int seat_in(uint64_t word)
{
    return (int)(word & SEAT_MASK) - 1;
}

static int executor_in(uint64_t word)
{
    int seat = seat_in(word);
    return seat < 0 ? -1 : seat / GANG_SEATS;
}

static _Atomic int32_t *holder_of(const struct gang *g, int seat)
{
    return &gang_executor(g, seat / GANG_SEATS)->seats[seat % GANG_SEATS];
}

/* The oldest ticket without an executor; NULL when nobody waits. */
static struct gang_place *first_in_line(const struct gang *g, enum task_class class,
                                        uint64_t *ret_word)
{
    int count;
    struct gang_place *places = gang_class_places(g, class, &count), *first = NULL;
    for (int i = 0; i < count; i++) {
        uint64_t word = atomic_load(&places[i].turn);
        if (word == 0 || executor_in(word) >= 0 || (first && word > *ret_word))
            continue;
        first = &places[i];
        *ret_word = word;
    }
    return first;
}

/* Looked at again, since it may have been retired meanwhile. And on from the start, since it may be
 * ready once more, and who noted that has found it held. */
static bool hold(struct gang_executor *e, int seat)
{
    _Atomic int32_t *holder = &e->seats[seat];
    int32_t nobody = 0;
    while (atomic_load(&e->taking) != 0 && atomic_load(holder) == 0 &&
           atomic_compare_exchange_strong(holder, &nobody, (int32_t)self_pid())) {
        if (atomic_load(&e->taking) != 0)
            return true;
        atomic_store(holder, 0);
        nobody = 0;
    }
    return false;
}

static bool is_idle(const struct gang_executor *e)
{
    for (int seat = 0; seat < GANG_SEATS; seat++) {
        if (atomic_load(&e->seats[seat]) != 0)
            return false;
    }
    return true;
}

static int count_held(const struct gang_executor *e)
{
    int count = 0;
    for (int seat = 0; seat < GANG_SEATS; seat++)
        count += atomic_load(&e->seats[seat]) != 0;
    return count;
}

/* The one with the fewest runs before a new one, of those that have taken or ended one just now;
 * -1: all have as many as a run is to wait for. */
static int least_held(const struct gang *g, enum task_class class)
{
    int best = -1, fewest = GANG_SEATS;
    int64_t now_us = clock_us();
    for (int i = 0; i < gang_executor_count(g) && fewest > 1; i++) {
        const struct gang_executor *e = gang_executor(g, i);
        if (e->class != (int32_t) class || atomic_load(&e->taking) == 0 ||
            now_us - atomic_load(&e->moved_us) > AHEAD_US)
            continue;
        int held = count_held(e);
        if (held < fewest && gang_runs_are_shorter(g, class, AHEAD_US / (held > 0 ? held : 1))) {
            fewest = held;
            best = i;
        }
    }
    return best;
}

static int reserve_ahead(const struct gang *g, enum task_class class)
{
    bool may = !gang_shape(g)->has_one_run_each && gang_runs_are_shorter(g, class, AHEAD_US);
    int i = may ? least_held(g, class) : -1;
    for (int seat = 1; i >= 0 && seat < GANG_SEATS; seat++) {
        if (hold(gang_executor(g, i), seat))
            return i * GANG_SEATS + seat;
    }
    return -1;
}

/* Take a seat for `p` out of the others' reach: its number, -1 when there is none. */
static int reserve(const struct gang *g, enum task_class class, const struct gang_place *p)
{
    for (int i = 0; i < gang_executor_count(g); i++) {
        struct gang_executor *e = gang_executor(g, i);
        if (e->class != (int32_t) class || !is_idle(e) || !hold(e, 0))
            continue;
        atomic_store(&e->moved_us, clock_us());
        return i * GANG_SEATS;
    }
    return atomic_load(&p->wants_idle) ? -1 : reserve_ahead(g, class);
}

static void ring(const struct gang *g, const struct gang_place *p)
{
    uint64_t one = 1;
    (void)!write(gang_bell_fd(g, p), &one, sizeof(one)); /* full is as loud as it gets */
}

static void hand_out(struct gang *g, enum task_class class, const struct gang_place *own)
{
    uint64_t word = 0;
    struct gang_place *p;
    while ((p = first_in_line(g, class, &word)) != NULL) {
        int seat = reserve(g, class, p);
        if (seat < 0)
            return;
        if (atomic_compare_exchange_strong(&p->turn, &word, word | (uint64_t)(seat + 1))) {
            if (p != own)
                ring(g, p);
        } else { /* it has left, or somebody served it: the next one, if there is one */
            atomic_store(holder_of(g, seat), 0);
        }
    }
}

void turn_executor_ready(struct gang *g, int i)
{
    struct gang_executor *e = gang_executor(g, i);
    atomic_store(&e->taking, atomic_load(&e->pid));
    hand_out(g, (enum task_class)e->class, NULL);
}

void turn_ask(struct gang *g, struct gang_place *p)
{
    enum task_class class = (enum task_class)p->class;
    atomic_store(&p->turn, gang_new_ticket(g, class) << SEAT_BITS);
    hand_out(g, class, p);
}

int turn_executor(const struct gang_place *p)
{
    return executor_in(atomic_load(&p->turn));
}

int turn_seat(const struct gang_place *p)
{
    return seat_in(atomic_load(&p->turn)) % GANG_SEATS;
}

bool turn_is_shared(const struct gang *g, const struct gang_place *p)
{
    int i = turn_executor(p);
    return i >= 0 && count_held(gang_executor(g, i)) > 1;
}

/*
 * Leave with the place's ticket or without. The seat's holder is who leaves, before the place's
 * word says that the place has none: if that process is killed in between, the creator knows whose
 * it was.
 */
static void leave(struct gang *g, struct gang_place *p, bool keeps_ticket)
{
    _Atomic int32_t *holder;
    uint64_t word = atomic_load(&p->turn);
    do {
        int seat = seat_in(word);
        holder = seat >= 0 ? holder_of(g, seat) : NULL;
        if (holder)
            atomic_store(holder, (int32_t)self_pid());
    } while (!atomic_compare_exchange_weak(&p->turn, &word, keeps_ticket ? word & ~SEAT_MASK : 0));
    if (holder)
        atomic_store(holder, 0);
}

void turn_ask_again(struct gang *g, struct gang_place *p)
{
    leave(g, p, true);
    hand_out(g, (enum task_class)p->class, p);
}

void turn_ask_for_idle(struct gang *g, struct gang_place *p)
{
    atomic_store(&p->wants_idle, true);
    turn_ask_again(g, p);
}

void turn_end(struct gang *g, struct gang_place *p)
{
    int i = turn_executor(p);
    if (i >= 0 && control_has_begun(gang_control(g, i), atomic_load(&p->run)))
        atomic_store(&gang_executor(g, i)->moved_us, clock_us());
    leave(g, p, false);
    hand_out(g, (enum task_class)p->class, NULL);
}

void turn_look(struct gang *g, const struct gang_place *p)
{
    hand_out(g, (enum task_class)p->class, p);
}

/* The place that has it; NULL: none. */
static struct gang_place *place_of(const struct gang *g, int seat)
{
    for (int i = 0; i < gang_place_count(g); i++) {
        if (seat_in(atomic_load(&gang_place(g, i)->turn)) == seat)
            return gang_place(g, i);
    }
    return NULL;
}

uint64_t turn_of(const struct gang *g, int executor, pid_t *ret_owner, bool *ret_is_computed)
{
    uint64_t first = 0, run = atomic_load(&gang_control(g, executor)->run);
    *ret_owner = 0;
    *ret_is_computed = false;
    for (int i = 0; i < gang_place_count(g); i++) {
        const struct gang_place *p = gang_place(g, i);
        uint64_t word = atomic_load(&p->turn);
        if (executor_in(word) != executor || (first != 0 && word > first))
            continue;
        first = word;
        *ret_owner = atomic_load(&p->owner);
        *ret_is_computed = run != 0 && atomic_load(&p->run) == run;
    }
    return first;
}

/* Does the executor compute for another place than `p`? */
static bool computes_for_another(const struct gang *g, int executor, const struct gang_place *p)
{
    uint64_t run = atomic_load(&gang_control(g, executor)->run);
    for (int i = 0; i < gang_place_count(g) && run != 0; i++) {
        const struct gang_place *other = gang_place(g, i);
        if (other != p && turn_executor(other) == executor && atomic_load(&other->run) == run)
            return true;
    }
    return false;
}

/* Was the run of `p` sent, and not begun? Then it never is. */
static bool is_withdrawn(const struct gang *g, int executor, const struct gang_place *p)
{
    uint64_t run = atomic_load(&p->run);
    return run != 0 && control_withdraw(gang_control(g, executor), run);
}

static void free_place(struct gang *g, struct gang_place *p)
{
    int i = turn_executor(p);
    if (i >= 0 && !is_withdrawn(g, i, p) && !computes_for_another(g, i, p)) {
        pid_t pid = atomic_load(&gang_executor(g, i)->pid);
        gang_executor_retire(g, i, pid);
        gang_executor_kill(g, i, pid);
    }
    leave(g, p, false);
    gang_place_free(p);
}

void turn_worker_ended(struct gang *g, pid_t pid)
{
    for (int i = 0; i < gang_place_count(g); i++) {
        if (atomic_load(&gang_place(g, i)->owner) == pid)
            free_place(g, gang_place(g, i));
    }
    for (int seat = 0; seat < gang_executor_count(g) * GANG_SEATS; seat++) {
        int32_t holder = (int32_t)pid;
        if (atomic_load(holder_of(g, seat)) != holder)
            continue;
        const struct gang_place *p = place_of(g, seat);
        if (p) /* it may have been killed before it rang */
            ring(g, p);
        else
            (void)atomic_compare_exchange_strong(holder_of(g, seat), &holder, 0);
    }
    for (int class = 0; class < TASK_CLASS_COUNT; class ++)
        hand_out(g, (enum task_class) class, NULL);
}
