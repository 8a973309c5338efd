/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asking another process: it answers in full and in time, or it is as if it had not answered. Who
 * asks waits for no peer without end.
 */
#include "base/run_socket.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "scratch.h"

#define LONG_MS 60000
#define SHORT_MS 200
#define HANG_SECONDS 120

enum peer { ANSWERS, ENDS_AT_ONCE, TRICKLES, FLOODS };

struct context {
    struct scratch scratch;
    struct config config;
    struct run_socket listening;
    pid_t peer;
};

static int setup(void **state)
{
    static struct context c;
    struct error err;
    scratch_open(&c.scratch);
    c.config = (struct config){.server_run_dir = c.scratch.path, .server_user = "nobody"};
    c.peer = 0;
    *state = &c;
    (void)alarm(HANG_SECONDS);
    return run_socket_open(&c.config, "peer", SOCK_STREAM, 8, false, &c.listening, &err);
}

static int teardown(void **state)
{
    struct context *c = *state;
    if (c->peer > 0) {
        (void)kill(c->peer, SIGKILL);
        (void)waitpid(c->peer, NULL, 0);
    }
    run_socket_close(&c->listening);
    scratch_close(&c->scratch);
    return 0;
}

static void serve(enum peer peer, int fd)
{
    static char bytes[65536];
    memset(bytes, 'x', sizeof(bytes));
    if (peer == ANSWERS)
        (void)send(fd, "{}", 2, MSG_NOSIGNAL);
    while (peer == TRICKLES && send(fd, bytes, 1, MSG_NOSIGNAL) == 1)
        (void)usleep(1000);
    while (peer == FLOODS && send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
        ;
    (void)close(fd);
}

static void start(struct context *c, enum peer peer)
{
    c->peer = fork();
    if (c->peer != 0)
        return;
    (void)fcntl(c->listening.fd, F_SETFL, 0);
    for (;;)
        serve(peer, accept(c->listening.fd, NULL, NULL));
}

/* Both ways to ask; the text is what came of it. */
static void ask(struct context *c, int timeout_ms, const char *expected)
{
    struct error err = {.code = ERR_NONE};
    struct strbuf text = STRBUF_INIT;
    struct run_socket_question questions[] = {{"peer", STRBUF_INIT}, {"nobody", STRBUF_INIT}};
    int result = run_socket_fetch(&c->config, "peer", "The peer", timeout_ms, &text, &err);
    assert_int_equal(result, *expected ? 0 : -1);
    assert_int_equal(err.code, *expected ? ERR_NONE : ERR_UNAVAILABLE);
    if (*expected)
        assert_string_equal(text.text, expected);
    run_socket_fetch_all(&c->config, questions, 2, timeout_ms);
    assert_string_equal(questions[0].text.text, expected);
    assert_int_equal(questions[1].text.size, 0);
    strbuf_release(&text);
    strbuf_release(&questions[0].text);
    strbuf_release(&questions[1].text);
}

static void test_an_answer_comes_in_full(void **state)
{
    struct context *c = *state;
    start(c, ANSWERS);
    ask(c, LONG_MS, "{}");
}

static void test_no_word_is_no_answer(void **state)
{
    struct context *c = *state;
    start(c, ENDS_AT_ONCE);
    ask(c, LONG_MS, "");
}

static void test_an_answer_without_end_is_none_when_its_time_is_over(void **state)
{
    struct context *c = *state;
    start(c, TRICKLES);
    ask(c, SHORT_MS, "");
}

static void test_an_answer_that_is_too_long_is_none(void **state)
{
    struct context *c = *state;
    start(c, FLOODS);
    ask(c, LONG_MS, "");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_answer_comes_in_full),
        TEST(test_no_word_is_no_answer),
        TEST(test_an_answer_without_end_is_none_when_its_time_is_over),
        TEST(test_an_answer_that_is_too_long_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
