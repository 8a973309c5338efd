/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crew_slot.h - one executor of the crew and the runs it has
 *
 * Internal to jobs/crew*.c. Runs in flight are computed in the order in which they were sent; the
 * first of them is the one that computes, or is about to. Whether it has begun stands in its
 * claim on the control page (exec/control.h). A message of any other run breaks the
 * protocol.
 */
#ifndef JOBS_CREW_SLOT_H
#define JOBS_CREW_SLOT_H

#include "exec/call.h"
#include "exec/child_log.h"
#include "jobs/crew.h"

#define CREW_IDLE_US 60000000 /* crew_step() wants to be called at least this often */

struct crew_list {
    struct crew_run *first, *last;
};

enum slot_state {
    SLOT_DOWN,     /* no process; one is started at restart_us */
    SLOT_STARTING, /* has not said that it is ready */
    SLOT_READY,
    SLOT_DYING, /* killed or gone, not reaped yet */
};

struct crew_slot {
    struct crew *crew;
    enum task_class class;
    enum slot_state state;
    pid_t pid; /* 0: none */
    int fd, lifeline_fd, statm_fd;
    struct child_log log;
    struct control *control;
    off_t control_offset;

    struct crew_list runs;           /* in flight, in the order they were sent */
    int load;                        /* how many */
    bool is_claimed[CONTROL_CLAIMS]; /* places of their claims */
    uint64_t last_number;
    struct call call; /* of the first run */
    bool is_full;     /* the socket took no more */
    bool is_fenced;   /* killed by crew_kill_all(): what it has sent counts for nothing */
    bool is_broken;   /* it broke the protocol: the same */

    int64_t started_us, state_us, first_us, sample_at_us, restart_us, retry_us;
    int delay_ms;
    uint32_t told_ppm; /* what crew_progress() has told */
    char told_text[CONTROL_TEXT_SIZE];

    struct crew_slot *next, *previous; /* of its class and load, while ready */
    bool is_listed;
    int listed_load;
};

struct crew_class {
    struct crew_list queue;                        /* runs that wait for an executor */
    struct crew_slot *by_load[CREW_AHEAD_MAX + 1]; /* those that are ready */
    int slots, ready, busy, runs;
    struct class_limits limits; /* of its tasks */
};

struct crew {
    struct crew_events events;
    const struct config *config;
    int epoll_fd, wake_fd, memory_fd;
    unsigned char *memory; /* one control page for each slot */
    size_t memory_size;
    struct crew_slot *slots;
    int slot_count;
    struct crew_class classes[TASK_CLASS_COUNT];
    struct crew_list ended; /* runs that are to be told about */
    int64_t tick_us;        /* when time has to be looked at next */
    bool is_stepping, is_closing, is_retiring;
};

/* crew.c, for crew_slot.c */

void crew_list_append(struct crew_list *l, struct crew_run *run);
void crew_list_prepend(struct crew_list *l, struct crew_run *run);
void crew_list_remove(struct crew_list *l, struct crew_run *run);

/* The run is over, `run->error` set; `ended` is called later in this step. */
void crew_finish(struct crew *c, struct crew_run *run, enum crew_end end);
/* Back to the front of its queue. */
void crew_requeue(struct crew *c, struct crew_run *run);
/* Look at the time at `at_us` at the latest. */
void crew_look_at(struct crew *c, int64_t at_us);
/* State or load of the slot have changed. */
void crew_relist(struct crew *c, struct crew_slot *s);

/* crew_slot.c */

void slot_init(struct crew_slot *s, struct crew *c, int index, enum task_class class);
void slot_start(struct crew_slot *s, int64_t now_us);

/* Send a run. Returns 0, or -1 when the slot takes none now (the run is still the caller's). A run
 * that cannot be sent at all is finished. */
int slot_send(struct crew_slot *s, struct crew_run *run);

/* Read what has arrived. */
void slot_receive(struct crew_slot *s);

/* Enforce what is due; returns when to look again. */
int64_t slot_check(struct crew_slot *s, int64_t now_us);

/* Take a run in flight back, if it has not begun: it is the caller's again. */
bool slot_withdraw(struct crew_slot *s, struct crew_run *run);

/* Stop a run in flight. */
void slot_stop(struct crew_slot *s, struct crew_run *run, const struct error *why);

/* Put up to `count` of the last runs that have not begun back to the queue; how many it were. */
int slot_give_back(struct crew_slot *s, int count);

void slot_kill(struct crew_slot *s);

/* Reap it, if it has ended; with `wait` once it has. Its runs end, or go back to the queue. */
void slot_reap(struct crew_slot *s, bool wait);

#endif
