/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * priority.h - jobs yield to runs that somebody waits for
 *
 * The runner's executors run at PRIORITY_NICE. Where the scheduler groups processes by session
 * (kernel.sched_autogroup_enabled), niceness counts within a session alone: so the runner has one
 * of its own, which as a whole is as nice.
 */
#ifndef JOBS_PRIORITY_H
#define JOBS_PRIORITY_H

/*
 * Each step of nice is a factor of 1.25: at 10, of a core that both want, a run gets nine tenths
 * and a job the last one. So a run is hardly slower for a job beside it; and the job still gets on,
 * which at 19, a seventieth, it would not before its deadline.
 */
#define PRIORITY_NICE 10

/* Give the calling process a session of its own, and the session the priority. Returns what came of
 * it, for the status: "set"; "absent": this kernel has no such groups; "shared": the session is its
 * terminal's, which is left alone; "refused". */
const char *priority_yield(void);

#endif
