/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * turn.c - see turn.h
 *
 * A place's word is its ticket, with the number of the executor it has, from 1, in the lower bits;
 * 0: it has not asked. Who hands executor e to place p first puts its own pid into e.holder, where
 * 0 stood, and then e into p's word, where the bare ticket stood. Each side writes its own word
 * before it reads the other's, so of an idle executor and a ticket that come in the same moment at
 * least one is seen.
 */
#include "exec/turn.h"

#include <unistd.h>

#define EXECUTOR_BITS 16
#define EXECUTOR_MASK (((uint64_t)1 << EXECUTOR_BITS) - 1)

static int executor_in(uint64_t word)
{
    return (int)(word & EXECUTOR_MASK) - 1;
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
static bool hold(struct gang_executor *e)
{
    int32_t nobody = 0;
    while (atomic_load(&e->taking) != 0 && atomic_load(&e->holder) == 0 &&
           atomic_compare_exchange_strong(&e->holder, &nobody, (int32_t)getpid())) {
        if (atomic_load(&e->taking) != 0)
            return true;
        atomic_store(&e->holder, 0);
        nobody = 0;
    }
    return false;
}

/* Take an idle executor out of the others' reach: its number, -1 when there is none. */
static int reserve(const struct gang *g, enum task_class class)
{
    for (int i = 0; i < gang_executor_count(g); i++) {
        struct gang_executor *e = gang_executor(g, i);
        if (e->class == (int32_t) class && hold(e))
            return i;
    }
    return -1;
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
        int i = reserve(g, class);
        if (i < 0)
            return;
        if (atomic_compare_exchange_strong(&p->turn, &word, word | (uint64_t)(i + 1))) {
            if (p != own)
                ring(g, p);
        } else { /* it has left, or somebody served it: the next one, if there is one */
            atomic_store(&gang_executor(g, i)->holder, 0);
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
    atomic_store(&p->turn, gang_new_ticket(g, class) << EXECUTOR_BITS);
    hand_out(g, class, p);
}

int turn_executor(const struct gang_place *p)
{
    return executor_in(atomic_load(&p->turn));
}

/*
 * Leave with the place's ticket or without. The executor's holder is who leaves, before the place's
 * word says that the place has none: if that process is killed in between, the creator knows whose
 * it was.
 */
static void leave(struct gang *g, struct gang_place *p, bool keeps_ticket)
{
    struct gang_executor *e;
    uint64_t word = atomic_load(&p->turn);
    do {
        int i = executor_in(word);
        e = i >= 0 ? gang_executor(g, i) : NULL;
        if (e)
            atomic_store(&e->holder, (int32_t)getpid());
    } while (
        !atomic_compare_exchange_weak(&p->turn, &word, keeps_ticket ? word & ~EXECUTOR_MASK : 0));
    if (e)
        atomic_store(&e->holder, 0);
}

void turn_ask_again(struct gang *g, struct gang_place *p)
{
    leave(g, p, true);
    hand_out(g, (enum task_class)p->class, p);
}

void turn_end(struct gang *g, struct gang_place *p)
{
    leave(g, p, false);
    hand_out(g, (enum task_class)p->class, NULL);
}

void turn_look(struct gang *g, const struct gang_place *p)
{
    hand_out(g, (enum task_class)p->class, p);
}

/* The place that has it; NULL: none. */
static struct gang_place *place_of(const struct gang *g, int executor)
{
    for (int i = 0; i < gang_place_count(g); i++) {
        if (turn_executor(gang_place(g, i)) == executor)
            return gang_place(g, i);
    }
    return NULL;
}

uint64_t turn_of(const struct gang *g, int executor, pid_t *ret_owner)
{
    const struct gang_place *p = place_of(g, executor);
    uint64_t word = p ? atomic_load(&p->turn) : 0;
    *ret_owner = p ? atomic_load(&p->owner) : 0;
    return executor_in(word) == executor ? word : 0;
}

static void free_place(struct gang *g, struct gang_place *p)
{
    int i = turn_executor(p);
    if (i >= 0) {
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
    for (int i = 0; i < gang_executor_count(g); i++) {
        int32_t holder = (int32_t)pid;
        if (atomic_load(&gang_executor(g, i)->holder) != holder)
            continue;
        const struct gang_place *p = place_of(g, i);
        if (p) /* it may have been killed before it rang */
            ring(g, p);
        else
            (void)atomic_compare_exchange_strong(&gang_executor(g, i)->holder, &holder, 0);
    }
    for (int class = 0; class < TASK_CLASS_COUNT; class ++)
        hand_out(g, (enum task_class) class, NULL);
}
