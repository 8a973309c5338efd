/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * turn.h - which place gets which executor, in the order of asking
 *
 * Whoever has a place asks for an executor of its class with a ticket, and has one at once or waits
 * for its bell. Whoever gives an executor back hands it to the oldest ticket: so does everybody
 * who finds an idle executor and a ticket, each with two compare-and-swaps, and there is no lock
 * that a killed worker could hold. The words in memory decide; a bell only says to look.
 *
 * An executor that is idle in these words waits in accept() for the connection of who has it. While
 * a class's runs are short, the next in line do not wait for that: they go ahead, to a seat behind
 * others, and are computed in the order in which they connect, without a pause in between. Who does
 * not begin there soon withdraws its run and asks again with its ticket, for an idle executor.
 */
#ifndef EXEC_TURN_H
#define EXEC_TURN_H

#include "exec/gang.h"

/* Stand in line for an executor of the place's class. */
void turn_ask(struct gang *g, struct gang_place *p);

/* The executor that the place has; -1 while it waits. */
int turn_executor(const struct gang_place *p);

/* Its seat there; 0: the executor was idle. */
int turn_seat(const struct gang_place *p);

/* Has another place a seat there too? */
bool turn_is_shared(const struct gang *g, const struct gang_place *p);

/* With the same ticket, after an executor that could not begin the run. */
void turn_ask_again(struct gang *g, struct gang_place *p);

/* The same after one that did not come to it soon: for an idle one. */
void turn_ask_for_idle(struct gang *g, struct gang_place *p);

/* Whoever has waited long looks for itself: who was to hand out or to ring may have been stopped.
 */
void turn_look(struct gang *g, const struct gang_place *p);

/* Leave the line; what the place has goes to the next in line, unless it is retired. */
void turn_end(struct gang *g, struct gang_place *p);

/* The creator's note: executor `i` takes runs from now on. */
void turn_executor_ready(struct gang *g, int i);

/* Whose turn it is with an executor, of several the one that asked first: a number that comes never
 * again, the pid of the worker, and whether its run is being computed; 0: nobody's. */
uint64_t turn_of(const struct gang *g, int executor, pid_t *ret_owner, bool *ret_is_computed);

/* Free the places of a worker that died, and what it was handing out. An executor that computes
 * for it is killed: nobody wants what comes of it. */
void turn_worker_ended(struct gang *g, pid_t pid);

#endif
