/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream.h - requests that come at a constant rate, and what became of each
 */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/queue.h>

struct connection;
TAILQ_HEAD(connections, connection);

enum { OUTCOME_GIVEN_UP = 0, OUTCOME_ERROR = -1 }; /* else the status */

struct outcome {
    uint64_t planned_ns, took_ns; /* from the beginning; from the plan */
    int status;
    bool is_late; /* sent more than 1 ms after the plan: this program was not there in time */
};

struct stream {
    char name[64];
    double rate; /* requests a second */
    int port;
    char *request; /* all that is sent */
    size_t size;
    bool is_head;
    size_t count, next;
    uint64_t phase_ns;
    struct outcome *outcomes;
    struct connections idle; /* the one that has waited longest comes first */
};

/* Read `NAME RATE PORT FILE` lines. Returns how many there are; on an error the program ends. */
int stream_plan(FILE *in, double seconds, struct stream **ret_streams);

/* When the next request is due, in ns from the beginning; UINT64_MAX: all were sent. */
uint64_t stream_due(const struct stream *s);

/* What became of the requests that were planned from `warm` s on, as a member of a JSON object. */
void stream_report(struct stream *s, double warm, double seconds, double cores, FILE *out);

/* A line for each request: name, s of the plan, ms that it took, status. */
void stream_trace(const struct stream *s, FILE *out);

#endif
