/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crew_executor.c - what an executor can do once its input has taken it over
 */
#include "crew_executor.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exec/control.h"
#include "exec/spawn.h"
#include "exec/wire.h"

#define FOR_EVER 60 /* seconds: it is killed before */

static const char *option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    }
    return "";
}

static void send_plain(enum wire_kind kind, uint64_t run, const char *body)
{
    struct payload p = PAYLOAD_INIT;
    struct error err;
    struct wire_writer w = {.payload = &p, .error = &err};
    size_t size = strlen(body);
    if (payload_append(&p, body, size, &err) != 0)
        _exit(1);
    if (kind == WIRE_OUTPUT) {
        wire_put_text(&w, "surprise");
        wire_put_text(&w, "text/plain");
    } else {
        wire_put_u64(&w, 5);
        if (kind == WIRE_RESULT) {
            wire_put_u64(&w, 4096);
            wire_put_u64(&w, 0);
        }
    }
    if (w.failed || wire_send(EXECUTOR_FD_SOCKET, kind, run, &p, size, &err) != 0)
        _exit(1);
    payload_release(&p);
}

static void send_result(uint64_t run)
{
    send_plain(WIRE_RESULT, run, "{\"sum\":\"5\"}");
}

static void misbehave(const char *manners, struct control *control, uint64_t run)
{
    if (strcmp(manners, "nonsense") == 0) {
        (void)send(EXECUTOR_FD_SOCKET, "nonsense", 8, MSG_NOSIGNAL);
    } else if (strcmp(manners, "other-run") == 0) {
        send_result(run + 1);
    } else if (strcmp(manners, "unknown-output") == 0) {
        send_plain(WIRE_OUTPUT, run, "boo");
    } else if (strcmp(manners, "started-again") == 0) {
        send_plain(WIRE_IDLE, run, "");
    } else if (strcmp(manners, "hang-up") == 0) {
        (void)close(EXECUTOR_FD_SOCKET);
    } else if (strcmp(manners, "empty-message") == 0) {
        (void)send(EXECUTOR_FD_SOCKET, "", 0, MSG_NOSIGNAL);
    } else if (strcmp(manners, "liar") == 0) {
        memset(control, 0, sizeof(*control));
        (void)raise(SIGKILL);
    } else if (strcmp(manners, "twice") == 0) {
        send_result(run);
        send_result(run);
    } else { /* chatty: what it writes besides counts for nothing */
        memset(control->text, 0xff, sizeof(control->text));
        control->fraction_ppm = UINT32_MAX;
        control->resident = UINT64_MAX;
        send_result(run);
        return;
    }
    (void)sleep(FOR_EVER);
}

int crew_executor(int argc, char **argv)
{
    const char *manners = option(argc, argv, "--modules");
    off_t offset = (off_t)strtoll(option(argc, argv, "--control"), NULL, 10);
    struct control *control = mmap(NULL, CONTROL_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                                   EXECUTOR_FD_MEMORY, offset);
    if (control == MAP_FAILED || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
        strcmp(manners, "stillborn") == 0)
        _exit(1);
    send_plain(WIRE_IDLE, 0, "");
    for (;;) {
        struct wire_message m;
        struct error err;
        if (wire_receive(EXECUTOR_FD_SOCKET, SIZE_MAX, &m, &err) != 1)
            _exit(1);
        if (control_begin(control, m.run))
            misbehave(manners, control, m.run);
        payload_release(&m.payload);
    }
}
