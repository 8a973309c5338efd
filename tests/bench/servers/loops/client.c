/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One client of a closed loop: the next request is sent when the answer is there, over one kept
 * connection. Written in C since it works on the same cores as what it measures.
 *
 *     client post PORT FILE     FILE is the whole request
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "loop.h"

static int connection = -1;
static char answer[1 << 18]; /* the head is at the beginning of the first piece */

static void open_connection(const char *port)
{
    int one = 1;
    struct timeval patience = {.tv_sec = 30};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((unsigned short)atoi(port)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    if (connection >= 0)
        close(connection);
    connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&to, sizeof(to)) != 0)
        loop_fail("nobody listens on port %s", port);
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

static bool send_all(const struct loop_file *request)
{
    for (size_t sent = 0; sent < request->size;) {
        ssize_t size = send(connection, request->bytes + sent, request->size - sent, MSG_NOSIGNAL);
        if (size <= 0)
            return false;
        sent += (size_t)size;
    }
    return true;
}

static ssize_t receive(size_t from)
{
    return recv(connection, answer + from, sizeof(answer) - 1 - from, 0);
}

/* The length of the answer's head, and how much there is already of all; 0: the connection is over.
 */
static size_t receive_head(size_t *ret_have)
{
    char *end = NULL;
    size_t have = 0;

    while (end == NULL) {
        ssize_t size = receive(have);
        if (size <= 0)
            return 0;
        have += (size_t)size;
        answer[have] = '\0';
        end = memmem(answer, have, "\r\n\r\n", 4);
    }
    *ret_have = have;
    return (size_t)(end + 4 - answer);
}

/* `size` bytes are passed over, those first that lie in answer from *at to *have. */
static void skip(size_t size, size_t *at, size_t *have)
{
    while (size > *have - *at) {
        size -= *have - *at;
        ssize_t more = receive(0);
        if (more <= 0)
            loop_fail("the answer is not whole");
        *at = 0;
        *have = (size_t)more;
    }
    *at += size;
}

static char next(size_t *at, size_t *have)
{
    skip(1, at, have);
    return answer[*at - 1];
}

/* Pieces, each after a line with its size; the last is empty. */
static void skip_chunks(size_t at, size_t have)
{
    size_t size;

    do {
        char line[32] = "";
        for (size_t i = 0; i < sizeof(line) - 1 && (line[i] = next(&at, &have)) != '\n'; i++)
            ;
        size = strtoul(line, NULL, 16);
        skip(size + 2, &at, &have);
    } while (size > 0);
}

static void post(char *const *words)
{
    const struct loop_file *request = loop_file(words[1]);
    size_t have = 0, head = 0;

    /* The server may have closed a connection that was idle for some seconds. */
    for (int i = 0; i < 2 && head == 0; i++) {
        if (connection < 0 || i > 0)
            open_connection(words[0]);
        head = send_all(request) ? receive_head(&have) : 0;
    }
    if (head == 0 || strncmp(answer, "HTTP/1.1 200", 12) != 0)
        loop_fail("not answered with 200: %.*s", (int)have, answer);
    const char *length = strcasestr(answer, "\r\nContent-Length:");
    const char *chunked = strcasestr(answer, "\r\nTransfer-Encoding: chunked");
    if (length != NULL && length < answer + head)
        skip(strtoul(length + 17, NULL, 10), &head, &have);
    else if (chunked != NULL && chunked < answer + head)
        skip_chunks(head, have);
    else
        loop_fail("the answer does not say how long it is");
}

void loop_init(char *const *words)
{
    (void)words;
}

const struct loop_case loop_cases[] = {{"post", post}, {NULL, NULL}};
