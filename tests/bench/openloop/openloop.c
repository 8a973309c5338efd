/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * openloop - requests at a constant rate, whatever the server does
 *
 * A client that waits for an answer before it sends the next request spares a server that stalls:
 * it sees one slow answer where many users would have waited. Here every request has its planned
 * time, its time counts from there, and whether others are answered does not matter: there are as
 * many connections as requests that wait. Idle ones are used in turn, so that all processes of a
 * server get their share.
 *
 *     openloop SECONDS PATIENCE [WARM [TRACE]] < plan
 *
 * The plan has lines `NAME RATE PORT FILE`: a stream's name, its requests a second, a port of this
 * host, a file with a whole request. Who has no answer after PATIENCE seconds leaves. What was
 * planned in the first WARM seconds is sent but not counted. JSON goes to stdout, by stream:
 *
 *     offered    requests that were planned
 *     good       those answered with 2xx
 *     rate       answers of 2xx a second that came between WARM and SECONDS
 *     p50 …      ms from the plan, of those answered with 2xx and those given up
 *     statuses   how many answers there were, by status; by_status: their times
 *     late       share of requests that this program was late for, by more than 1 ms
 *     given_up   had no answer in time
 *     errors     refused, cut off, not HTTP; with "no descriptors" on stderr it was this program's
 * fault generator_cores   processor time that this program took, as a share of one core
 *
 * TRACE is a file for a line of each request: name, s of the plan, ms, status (0: given up, -1:
 * error).
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "stream.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define AT_ONCE 64
#define WARM_CONNECTIONS 16 /* of each stream, before the first request */

struct connection {
    TAILQ_ENTRY(connection) link; /* of its stream's idle ones, or of those that wait */
    struct stream *stream;
    struct outcome *outcome; /* of the request that it waits with; NULL: idle */
    struct answer answer;
    size_t sent;
    int fd;
};

static int epoll_fd;
static uint64_t began;
static struct connections waiting; /* in the order of their plans */
static bool has_no_descriptors;

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec - began;
}

/* ---- connections */

static struct connection *connection_open(struct stream *s)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)s->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    struct connection *c = calloc(1, sizeof(*c));
    int one = 1;

    if (c == NULL)
        err(2, "memory");
    c->stream = s;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        goto failed;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    event.data.ptr = c;
    if ((connect(c->fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS) &&
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) == 0)
        return c;
failed:
    /* Of the server's making is only that nobody listens. */
    has_no_descriptors |= errno != ECONNREFUSED;
    if (c->fd >= 0)
        close(c->fd);
    free(c);
    return NULL;
}

static void connection_close(struct connection *c)
{
    TAILQ_REMOVE(c->outcome != NULL ? &waiting : &c->stream->idle, c, link);
    close(c->fd);
    free(c);
}

/* Has the server closed it while nobody looked? */
static bool connection_is_over(const struct connection *c)
{
    char byte;

    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

static struct connection *connection_idle(struct stream *s)
{
    struct connection *c;

    while ((c = TAILQ_FIRST(&s->idle)) != NULL) {
        if (!connection_is_over(c)) {
            TAILQ_REMOVE(&s->idle, c, link);
            return c;
        }
        connection_close(c);
    }
    return NULL;
}

/* ---- a request on its way */

static void outcome_set(struct outcome *o, int status)
{
    o->took_ns = now() - o->planned_ns;
    o->status = status;
}

static void finish(struct connection *c)
{
    bool is_whole = c->answer.part == ANSWER_DONE;

    outcome_set(c->outcome, is_whole ? c->answer.status : OUTCOME_ERROR);
    /* A refusal may come before the request was sent: nobody reads the rest of it. */
    if (!is_whole || c->answer.is_last || c->sent < c->stream->size) {
        connection_close(c);
        return;
    }
    TAILQ_REMOVE(&waiting, c, link);
    c->outcome = NULL;
    TAILQ_INSERT_TAIL(&c->stream->idle, c, link);
}

/* As much of the request as the socket takes. */
static void send_more(struct connection *c)
{
    const struct stream *s = c->stream;

    while (c->sent < s->size) {
        ssize_t n = send(c->fd, s->request + c->sent, s->size - c->sent, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* not now; or never, and then there is an answer or an end to be read */
        c->sent += (size_t)n;
    }
}

static void receive_more(struct connection *c)
{
    static char bytes[1 << 18];

    while (c->answer.part < ANSWER_DONE) {
        ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            c->answer.part = ANSWER_BROKEN;
        else if (n == 0)
            answer_end(&c->answer);
        else if (answer_read(&c->answer, bytes, (size_t)n) != (size_t)n)
            c->answer.is_last = true; /* more than was asked for: whose it is cannot be known */
    }
    finish(c);
}

static void handle(const struct epoll_event *event)
{
    struct connection *c = event->data.ptr;

    if (c->outcome == NULL) {
        if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            connection_close(c);
        return;
    }
    send_more(c);
    receive_more(c);
}

static void start(struct stream *s)
{
    struct outcome *o = &s->outcomes[s->next];
    struct connection *c;

    o->planned_ns = stream_due(s);
    o->is_late = now() > o->planned_ns + MS;
    s->next++;
    c = connection_idle(s);
    if (c == NULL)
        c = connection_open(s);
    if (c == NULL) {
        outcome_set(o, OUTCOME_ERROR);
        return;
    }
    c->outcome = o;
    c->sent = 0;
    c->answer = (struct answer){.has_no_body = s->is_head};
    TAILQ_INSERT_TAIL(&waiting, c, link);
    send_more(c);
}

/* ---- the loop */

/* Start what is due; when the next request is, among all streams. Who is far behind reads answers
 * too. */
static uint64_t start_due(struct stream *streams, int n)
{
    for (int started = 0;; started++) {
        struct stream *first = &streams[0];
        for (int i = 1; i < n; i++) {
            if (stream_due(&streams[i]) < stream_due(first))
                first = &streams[i];
        }
        if (stream_due(first) > now() || started == AT_ONCE)
            return stream_due(first);
        start(first);
    }
}

/* When the next one's patience ends. */
static uint64_t give_up_expired(uint64_t patience)
{
    struct connection *c;

    while ((c = TAILQ_FIRST(&waiting)) != NULL) {
        if (c->outcome->planned_ns + patience > now())
            return c->outcome->planned_ns + patience;
        outcome_set(c->outcome, OUTCOME_GIVEN_UP);
        connection_close(c);
    }
    return UINT64_MAX;
}

static void wait_and_handle(uint64_t until)
{
    struct epoll_event events[256];
    uint64_t time = now(), left = until > time ? until - time : 0;
    struct timespec timeout = {(time_t)(left / SECOND), (long)(left % SECOND)};
    int n = epoll_pwait2(epoll_fd, events, 256, &timeout, NULL);

    if (n < 0 && errno != EINTR)
        err(2, "epoll_pwait2");
    for (int i = 0; i < n; i++)
        handle(&events[i]);
}

static void run(struct stream *streams, int n, uint64_t patience)
{
    for (;;) {
        uint64_t due = start_due(streams, n);
        uint64_t expired = give_up_expired(patience);
        if (due == UINT64_MAX && expired == UINT64_MAX)
            return;
        wait_and_handle(due < expired ? due : expired);
    }
}

/* ---- the program */

/* A client on another host would not wait for this one's processors: go first, where that is
 * allowed.
 */
static void go_first(void)
{
    struct sched_param lowest = {.sched_priority = 1};

    if (sched_setscheduler(0, SCHED_RR, &lowest) != 0)
        setpriority(PRIO_PROCESS, 0, -10);
    prctl(PR_SET_TIMERSLACK, 1);
}

static void prepare(struct stream *streams, int n)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        err(2, "epoll_create1");
    TAILQ_INIT(&waiting);
    for (int i = 0; i < n; i++) {
        TAILQ_INIT(&streams[i].idle);
        for (int j = 0; j < WARM_CONNECTIONS; j++) {
            struct connection *c = connection_open(&streams[i]);
            if (c != NULL)
                TAILQ_INSERT_TAIL(&streams[i].idle, c, link);
        }
    }
}

static double processor_seconds(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void write_trace(const char *path, const struct stream *streams, int n)
{
    FILE *trace = fopen(path, "w");

    if (trace == NULL)
        err(2, "%s", path);
    for (int i = 0; i < n; i++)
        stream_trace(&streams[i], trace);
    if (fclose(trace) != 0)
        err(2, "%s", path);
}

int main(int argc, char **argv)
{
    struct stream *streams;
    double seconds, patience, warm, before, cores;

    if (argc < 3 || argc > 5)
        errx(2, "usage: openloop SECONDS PATIENCE [WARM [TRACE]] < plan");
    seconds = strtod(argv[1], NULL);
    patience = strtod(argv[2], NULL);
    warm = argc > 3 ? strtod(argv[3], NULL) : 0;
    if (seconds <= 0 || patience <= 0 || warm < 0 || warm >= seconds)
        errx(2, "SECONDS and PATIENCE must be above 0, WARM below SECONDS");
    int n = stream_plan(stdin, seconds, &streams);
    if (n == 0)
        errx(2, "no stream");
    go_first();
    prepare(streams, n);
    before = processor_seconds();
    began = now();
    run(streams, n, (uint64_t)(patience * (double)SECOND));
    cores = (processor_seconds() - before) / ((double)now() / (double)SECOND);
    for (int i = 0; i < n; i++) {
        printf("%s", i == 0 ? "{" : ",\n ");
        stream_report(&streams[i], warm, seconds, cores, stdout);
    }
    printf("}\n");
    if (has_no_descriptors)
        fprintf(stderr, "openloop: no descriptors or ports were left for some requests\n");
    if (argc == 5)
        write_trace(argv[4], streams, n);
    return 0;
}
