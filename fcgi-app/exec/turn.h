/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * turn.h - which place gets which executor, in the order of asking
 *
 * Whoever has a place asks for an executor of its class with a ticket, and has one at once or waits
 * for its bell. Whoever gives an executor back hands it to the oldest ticket: so does everybody
 * who finds an idle executor and a ticket, each with two compare-and-swaps, and there is no lock
 * that a killed worker could hold. The words in memory decide; a bell only says to look.
 *
 * An executor that is idle in these words waits in accept() for the one connection of who has it.
 */
#ifndef EXEC_TURN_H
#define EXEC_TURN_H

#include "exec/gang.h"

/* Stand in line for an executor of the place's class. */
void turn_ask(struct gang *g, struct gang_place *p);

/* The executor that the place has; -1 while it waits. */
int turn_executor(const struct gang_place *p);

/* With the same ticket, after an executor that could not begin the run. */
void turn_ask_again(struct gang *g, struct gang_place *p);

/* Whoever has waited long looks for itself: who was to hand out or to ring may have been stopped.
 */
void turn_look(struct gang *g, const struct gang_place *p);

/* Leave the line; what the place has goes to the next in line, unless it is retired. */
void turn_end(struct gang *g, struct gang_place *p);

/* The creator's note: executor `i` takes runs from now on. */
void turn_executor_ready(struct gang *g, int i);

/* Whose turn it is with an executor: a number that comes never again, and the pid of the worker; 0:
 * nobody's. */
uint64_t turn_of(const struct gang *g, int executor, pid_t *ret_owner);

/* Free the places of a worker that died, and what it was handing out. An executor that computes
 * for it is killed: nobody wants what comes of it. */
void turn_worker_ended(struct gang *g, pid_t pid);

#endif
