/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire.h - messages between an executor and whoever waits for it
 *
 * One message is one datagram on a SOCK_SEQPACKET connection: a fixed header and a payload. The
 * payload is a body (bytes of inputs, of an output, a result) followed by a record (names, sizes,
 * limits). Up to PAYLOAD_INLINE_MAX it travels in the datagram, beyond that in one sealed memfd.
 * Both ends check everything they read: an executor may have been taken over by its input.
 *
 *   peer → executor
 *     RUN      body: bytes of all inputs, record: see order_encode()
 *   executor → peer
 *     OUTPUT   body: the bytes, record: name, media type
 *     RESULT   body: JSON text, record: usage — an end
 *     ERROR    record: code, detail, cause, usage — an end
 *     IDLE     nothing: it takes runs. To a runner once, as run 0; in a pool after an end that said
 *              that the executor lingers
 *
 * Usage is CPU time, peak memory, and whether the executor lingers: it gives memory back before it
 * takes another run, or leaves. Whether a run has begun stands on the control page: orders queue
 * up on a runner's one connection to its executor, and in a pool an executor may die before it
 * comes to the one that was sent.
 */
#ifndef EXEC_WIRE_H
#define EXEC_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/payload.h"

#define WIRE_MAGIC 0x47573033u /* "GW03": both ends are of one build, or refuse each other */

enum wire_kind { WIRE_RUN = 1, WIRE_OUTPUT, WIRE_RESULT, WIRE_ERROR, WIRE_IDLE };

struct wire_message {
    enum wire_kind kind;
    uint64_t run;
    struct payload payload; /* the receiver's: payload_release() */
    size_t body_size;       /* the record follows */
    pid_t sender;           /* by SCM_CREDENTIALS, where the receiver set SO_PASSCRED; else 0 */
};

/*
 * Send one message. `payload` holds the body; what stands beyond body_size is the record. A memfd
 * is sealed first. Errors: ERR_UNAVAILABLE when the peer is gone, ERR_OVERLOADED when a
 * non-blocking socket has no room now, else ERR_INTERNAL.
 */
int wire_send(int fd, enum wire_kind kind, uint64_t run, struct payload *payload, size_t body_size,
              struct error *reterr);

/*
 * Receive one message with a payload of at most max_size bytes (beyond: ERR_TOO_LARGE, nothing is
 * mapped). Returns 1, 0 at the end of the connection, -1 on error: ERR_INTERNAL for a malformed
 * message, ERR_STOPPED when a non-blocking or timed receive found nothing.
 */
int wire_receive(int fd, size_t max_size, struct wire_message *ret_message, struct error *reterr);

/* Writing a record: errors stick in the payload's owner's error and are checked once, at the end.
 */
struct wire_writer {
    struct payload *payload;
    struct error *error;
    bool failed;
};

void wire_put_u64(struct wire_writer *w, uint64_t value);
void wire_put_f64(struct wire_writer *w, double value);
void wire_put_text(struct wire_writer *w, const char *text);
void wire_put_bytes(struct wire_writer *w, const void *bytes, size_t size); /* NUL added behind */

/* Reading one: past the end, or a text without NUL, `failed` is set and 0 or "" returned. */
struct wire_reader {
    const unsigned char *at, *end;
    bool failed;
};

struct wire_reader wire_record(const struct wire_message *m);
uint64_t wire_get_u64(struct wire_reader *r);
double wire_get_f64(struct wire_reader *r);
const char *wire_get_text(struct wire_reader *r); /* points into the message */
const char *wire_get_bytes(struct wire_reader *r, size_t *ret_size);

/* Everything read, nothing left, nothing failed? */
bool wire_is_complete(const struct wire_reader *r);

#endif
