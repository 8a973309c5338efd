/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line for executors: first come, first served; never two for one executor while runs take
 * long, never more than its seats while they are short, however many processes ask, give back and
 * are killed at any moment; and no executor or ticket is ever forgotten.
 */
#include "exec/turn.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "gang_fixture.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define WORKERS 6
#define TURNS 3000

/* With executors that take runs; their pids are nobody's. */
static struct gang *create(int cpu, int net, int queue_length)
{
    struct gang *g = gang_of(cpu, net, queue_length);
    for (int i = 0; i < cpu + net; i++) {
        gang_executor_started(g, i, 5000000 + i);
        turn_executor_ready(g, i);
    }
    return g;
}

static struct gang_place *ask(struct gang *g, enum task_class class)
{
    struct gang_place *p = gang_place_take(g, class, "demo.x", "id");
    assert_non_null(p);
    turn_ask(g, p);
    return p;
}

static void end(struct gang *g, struct gang_place *p)
{
    turn_end(g, p);
    gang_place_free(p);
}

static bool is_rung(const struct gang *g, const struct gang_place *p)
{
    uint64_t count;
    return read(gang_bell_fd(g, p), &count, sizeof(count)) > 0;
}

static void test_who_comes_first_is_served_first(void **state)
{
    struct gang *g = create(2, 0, 4);
    struct gang_place *p[6];
    (void)state;
    for (size_t i = 0; i < COUNT(p); i++)
        p[i] = ask(g, TASK_CPU);
    assert_int_equal(turn_executor(p[0]), 0);
    assert_int_equal(turn_executor(p[1]), 1);
    assert_int_equal(turn_executor(p[2]), -1);
    end(g, p[1]);
    assert_int_equal(turn_executor(p[2]), 1);
    assert_true(is_rung(g, p[2]));
    end(g, p[3]); /* leaves while it waits */
    end(g, p[0]);
    assert_int_equal(turn_executor(p[4]), 0);
    assert_int_equal(turn_executor(p[5]), -1);
    assert_false(is_rung(g, p[5]));
    struct gang_place *late =
        ask(g, TASK_CPU); /* in a place that was free before p[5] had a turn */
    end(g, p[2]);
    assert_int_equal(turn_executor(p[5]), 1);
    assert_int_equal(turn_executor(late), -1);
    gang_close(g);
}

static void test_classes_have_lines_of_their_own(void **state)
{
    struct gang *g = create(1, 1, 1);
    (void)state;
    struct gang_place *cpu = ask(g, TASK_CPU), *next = ask(g, TASK_CPU), *net = ask(g, TASK_NET);
    assert_int_equal(turn_executor(cpu), 0);
    assert_int_equal(turn_executor(net), 1);
    assert_int_equal(turn_executor(next), -1);
    end(g, net);
    assert_int_equal(turn_executor(next), -1);
    end(g, cpu);
    assert_int_equal(turn_executor(next), 0);
    gang_close(g);
}

static void test_an_executor_that_takes_no_runs_is_handed_to_nobody(void **state)
{
    struct gang *g = create(2, 0, 2);
    (void)state;
    gang_executor_retire(g, 0, 5000000);
    struct gang_place *first = ask(g, TASK_CPU), *second = ask(g, TASK_CPU);
    assert_int_equal(turn_executor(first), 1);
    assert_int_equal(turn_executor(second), -1);
    gang_executor_retire(g, 1, 5000001);
    end(g, first);
    assert_int_equal(turn_executor(second), -1);
    gang_executor_ended(g, 0, 0);
    gang_executor_started(g, 0, 5000002);
    turn_executor_ready(g, 0);
    assert_int_equal(turn_executor(second), 0);
    assert_true(is_rung(g, second));
    gang_close(g);
}

/* A successor that is ready before the last run of the one that died was given up. */
static void test_a_successor_waits_until_its_predecessors_run_is_given_up(void **state)
{
    struct gang *g = create(1, 0, 1);
    (void)state;
    struct gang_place *first = ask(g, TASK_CPU), *second = ask(g, TASK_CPU);
    gang_executor_ended(g, 0, 0);
    gang_executor_started(g, 0, 5000009);
    turn_executor_ready(g, 0);
    assert_int_equal(turn_executor(second), -1);
    end(g, first);
    assert_int_equal(turn_executor(second), 0);
    end(g, second);
    struct gang_place *third = ask(g, TASK_CPU), *fourth = ask(g, TASK_CPU);
    assert_int_equal(turn_executor(third), 0);
    assert_int_equal(turn_executor(fourth), -1);
    gang_close(g);
}

static void test_who_asks_again_keeps_its_ticket(void **state)
{
    struct gang *g = create(1, 0, 2);
    (void)state;
    struct gang_place *first = ask(g, TASK_CPU), *second = ask(g, TASK_CPU);
    gang_executor_retire(g, 0, 5000000);
    turn_ask_again(g, first);
    assert_int_equal(turn_executor(first), -1);
    gang_executor_ended(g, 0, 0);
    gang_executor_started(g, 0, 5000001);
    turn_executor_ready(g, 0);
    assert_int_equal(turn_executor(first), 0);
    assert_int_equal(turn_executor(second), -1);
    gang_close(g);
}

/* Stopped between the two steps of giving an executor back. */
static void test_who_has_waited_long_looks_for_itself(void **state)
{
    struct gang *g = create(1, 0, 2);
    pid_t owner;
    bool is_computed;
    (void)state;
    struct gang_place *first = ask(g, TASK_CPU), *second = ask(g, TASK_CPU);
    uint64_t turn = turn_of(g, 0, &owner, &is_computed);
    assert_true(turn != 0);
    assert_int_equal(owner, getpid());
    first->turn = 0;
    gang_executor(g, 0)->seats[0] = 0;
    assert_int_equal(turn_executor(second), -1);
    assert_true(turn_of(g, 0, &owner, &is_computed) == 0);
    turn_look(g, second);
    assert_int_equal(turn_executor(second), 0);
    assert_true(turn_of(g, 0, &owner, &is_computed) != turn);
    gang_close(g);
}

/* Whoever stands still with an executor is not excused by the runs of others. */
static void test_a_turn_is_computed_while_its_own_run_is(void **state)
{
    struct gang *g = create(1, 0, 1);
    struct control *control = gang_control(g, 0);
    pid_t owner;
    bool is_computed;
    (void)state;
    struct gang_place *p = ask(g, TASK_CPU);
    (void)turn_of(g, 0, &owner, &is_computed);
    assert_false(is_computed);
    uint64_t other = gang_new_run(g, 1), own = gang_new_run(g, 0);
    gang_place_enter(p, PLACE_WAITING, own, -1);
    control_offer(control, other);
    assert_true(control_begin(control, other));
    (void)turn_of(g, 0, &owner, &is_computed);
    assert_false(is_computed);
    control_offer(control, own);
    assert_true(control_begin(control, own));
    (void)turn_of(g, 0, &owner, &is_computed);
    assert_true(is_computed);
    control_end(control, own);
    (void)turn_of(g, 0, &owner, &is_computed);
    assert_false(is_computed);
    gang_close(g);
}

static pid_t ask_and_die(struct gang *g)
{
    pid_t pid = fork();
    if (pid == 0) {
        turn_ask(g, gang_place_take(g, TASK_CPU, "demo.x", "id"));
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return pid;
}

static void test_what_a_dead_worker_had_goes_to_the_next_and_its_executor_is_killed(void **state)
{
    struct gang *g = create(1, 0, 3);
    int taken, busy, status;
    (void)state;
    pid_t executor = fork();
    if (executor == 0) {
        for (;;)
            (void)pause();
    }
    gang_executor_ended(g, 0, 0);
    gang_executor_started(g, 0, executor);
    turn_executor_ready(g, 0);
    pid_t had = ask_and_die(g), waited = ask_and_die(g);
    struct gang_place *own = ask(g, TASK_CPU);
    assert_int_equal(turn_executor(own), -1);
    turn_worker_ended(g, waited);
    assert_int_equal(turn_executor(own), -1);
    assert_int_equal(waitpid(executor, &status, WNOHANG), 0);
    turn_worker_ended(g, had);
    gang_load(g, TASK_CPU, &taken, &busy);
    assert_int_equal(taken, 1);
    assert_int_equal(own->owner, getpid());
    assert_int_equal(turn_executor(own), -1); /* it computes for nobody any more */
    assert_int_equal(waitpid(executor, &status, 0), executor);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    gang_executor_ended(g, 0, status);
    gang_executor_started(g, 0, 5000003);
    turn_executor_ready(g, 0);
    assert_int_equal(turn_executor(own), 0);
    gang_close(g);
}

/* Killed between its two steps, it holds an executor that no place has. */
static void test_what_a_dead_worker_was_handing_out_is_handed_out(void **state)
{
    struct gang *g = create(2, 0, 2);
    (void)state;
    struct gang_place *first = ask(g, TASK_CPU);
    assert_int_equal(turn_executor(first), 0);
    gang_executor(g, 0)->seats[0] = 6000000; /* it handed this one out, and that place lives */
    gang_executor(g, 1)->seats[0] = 6000000;
    struct gang_place *second = ask(g, TASK_CPU), *third = ask(g, TASK_CPU);
    assert_int_equal(turn_executor(second), -1);
    turn_worker_ended(g, 6000000);
    assert_int_equal(turn_executor(second), 1);
    assert_int_equal(turn_executor(third), -1);
    end(g, first);
    assert_int_equal(turn_executor(third), 0);
    gang_close(g);
}

/* As after runs that took a moment. */
static void let_runs_be_short(struct gang *g)
{
    gang_observe_run(g, TASK_CPU, 100, 10);
}

/* What it was handed last counts as handed this moment, however long the test was kept from it. */
static void keep_moving(struct gang *g)
{
    for (int i = 0; i < gang_executor_count(g); i++)
        atomic_store(&gang_executor(g, i)->moved_us, INT64_MAX);
}

static void test_short_runs_go_ahead_to_the_executor_with_the_fewest(void **state)
{
    struct gang *g = create(2, 0, 2 * GANG_SEATS);
    int seats[2] = {1, 1};
    (void)state;
    let_runs_be_short(g);
    struct gang_place *first = ask(g, TASK_CPU), *second = ask(g, TASK_CPU);
    assert_int_equal(turn_seat(first), 0);
    assert_int_equal(turn_seat(second), 0);
    assert_int_equal(turn_executor(second), 1);
    assert_false(turn_is_shared(g, first));
    keep_moving(g);
    for (int i = 2; i < 2 * GANG_SEATS; i++) {
        struct gang_place *p = ask(g, TASK_CPU);
        int e = turn_executor(p);
        assert_in_range(e, 0, 1);
        assert_int_equal(turn_seat(p), seats[e]++);
        assert_in_range(seats[0] - seats[1] + 1, 0, 2);
    }
    assert_true(turn_is_shared(g, first));
    struct gang_place *late = ask(g, TASK_CPU); /* all seats are taken */
    assert_int_equal(turn_executor(late), -1);
    end(g, second); /* it frees seat 0, which is for who finds the executor idle */
    assert_int_equal(turn_executor(late), -1);
    gang_close(g);
}

static void test_nobody_goes_ahead_of_a_long_run_or_while_runs_take_long(void **state)
{
    struct gang *g = create(1, 0, 4);
    (void)state;
    struct gang_place *first = ask(g, TASK_CPU);
    keep_moving(g);
    struct gang_place *unknown = ask(g, TASK_CPU); /* how long runs take is not known yet */
    assert_int_equal(turn_executor(unknown), -1);
    end(g, unknown);
    let_runs_be_short(g);
    atomic_store(&gang_executor(g, 0)->moved_us, 0);
    struct gang_place *behind = ask(g, TASK_CPU);
    assert_int_equal(turn_executor(behind), -1);
    for (int i = 0; i < 20; i++)
        gang_observe_run(g, TASK_CPU, 1000000, 1000000);
    keep_moving(g);
    struct gang_place *next = ask(g, TASK_CPU);
    assert_int_equal(turn_executor(next), -1);
    end(g, first);
    assert_int_equal(turn_executor(behind), 0);
    assert_int_equal(turn_seat(behind), 0);
    assert_int_equal(turn_executor(next), -1);
    gang_close(g);
}

static void test_nobody_goes_ahead_to_an_executor_of_one_run(void **state)
{
    struct gang_shape shape = {
        .slots = {[TASK_CPU] = 1}, .queue_length = 1, .has_one_run_each = true};
    struct gang *g;
    struct error err;
    (void)state;
    assert_int_equal(gang_create(&shape, &g, &err), 0);
    gang_executor_started(g, 0, 5000000);
    turn_executor_ready(g, 0);
    let_runs_be_short(g);
    assert_int_equal(turn_executor(ask(g, TASK_CPU)), 0);
    keep_moving(g);
    assert_int_equal(turn_executor(ask(g, TASK_CPU)), -1);
    gang_close(g);
}

static void test_who_was_ahead_in_vain_is_the_first_to_have_an_idle_executor(void **state)
{
    struct gang *g = create(1, 0, 4);
    (void)state;
    let_runs_be_short(g);
    struct gang_place *first = ask(g, TASK_CPU);
    keep_moving(g);
    struct gang_place *second = ask(g, TASK_CPU), *third = ask(g, TASK_CPU);
    assert_int_equal(turn_seat(second), 1);
    assert_int_equal(turn_seat(third), 2);
    turn_ask_for_idle(g, second);
    assert_int_equal(turn_executor(second), -1);
    struct gang_place *fourth = ask(g, TASK_CPU); /* it does not overtake */
    assert_int_equal(turn_executor(fourth), -1);
    end(g, first);
    assert_int_equal(turn_executor(second), -1);
    end(g, third);
    assert_int_equal(turn_executor(second), 0);
    assert_int_equal(turn_seat(second), 0);
    assert_true(is_rung(g, second));
    gang_close(g);
}

/* Before it has begun, the run of a worker that died is taken back; another's is left alone. */
static void test_a_dead_workers_run_ahead_costs_no_executor(void **state)
{
    struct gang *g = create(1, 0, 4);
    struct control *control = gang_control(g, 0);
    (void)state;
    let_runs_be_short(g);
    struct gang_place *own = ask(g, TASK_CPU), *ahead, *ended;
    keep_moving(g);
    ahead = ask(g, TASK_CPU);
    ended = ask(g, TASK_CPU);
    struct gang_place *all[] = {own, ahead, ended};
    for (size_t i = 0; i < COUNT(all); i++) {
        uint64_t run = gang_new_run(g, turn_seat(all[i]));
        gang_place_enter(all[i], PLACE_WAITING, run, -1);
        control_offer(control, run);
    }
    assert_true(control_begin(control, ended->run));
    control_end(control, ended->run);
    assert_true(control_begin(control, own->run));
    uint64_t withdrawn = ahead->run;
    ahead->owner = ended->owner = 6000000;
    turn_worker_ended(g, 6000000);
    assert_int_equal(gang_executor(g, 0)->taking, 5000000);
    assert_false(control_begin(control, withdrawn));
    assert_int_equal(ahead->owner, 0);
    assert_int_equal(ended->owner, 0);
    assert_false(turn_is_shared(g, own));
    own->owner = 6000000;
    turn_worker_ended(g, 6000000);
    assert_int_equal(gang_executor(g, 0)->taking, 0);
    gang_close(g);
}

/* What the competitors note of each executor: how many have it, and whether it was ever too many.
 */
struct ledger {
    int seats;
    _Atomic int users[8];
    _Atomic int collisions;
    _Atomic uint64_t turns;
};

static void wait_for_turn(const struct gang *g, const struct gang_place *p)
{
    struct pollfd bell = {.fd = gang_bell_fd(g, p), .events = POLLIN};
    while (turn_executor(p) < 0) {
        if (poll(&bell, 1, 60000) <= 0)
            _exit(2); /* nobody rang */
        (void)is_rung(g, p);
    }
}

static void take_turns(struct gang *g, struct ledger *l, int turns)
{
    for (int i = 0; i < turns; i++) {
        struct gang_place *p = gang_place_take(g, TASK_CPU, "demo.x", "id");
        if (!p)
            _exit(3);
        turn_ask(g, p);
        if (i % 7 != 0) { /* else it gives up, whatever it has by now */
            wait_for_turn(g, p);
            int e = turn_executor(p);
            if (atomic_fetch_add(&l->users[e], 1) >= l->seats)
                atomic_fetch_add(&l->collisions, 1);
            if (i % 5 == 0)
                (void)usleep(1);
            (void)atomic_fetch_sub(&l->users[e], 1);
            atomic_fetch_add(&l->turns, 1);
        }
        end(g, p);
    }
}

static struct ledger *new_ledger(int seats)
{
    struct ledger *l =
        mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(l, MAP_FAILED);
    l->seats = seats;
    return l;
}

static pid_t start_worker(struct gang *g, struct ledger *l, int turns)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        take_turns(g, l, turns);
        _exit(0);
    }
    return pid;
}

static void assert_all_idle(struct gang *g)
{
    int taken, busy;
    gang_load(g, TASK_CPU, &taken, &busy);
    assert_int_equal(taken, 0);
    for (int i = 0; i < gang_executor_count(g); i++) {
        for (int seat = 0; seat < GANG_SEATS; seat++)
            assert_int_equal(gang_executor(g, i)->seats[seat], 0);
    }
}

static void test_an_executor_never_has_too_many_runs_at_once_whoever_competes(void **state)
{
    static const struct {
        int slots, seats;
    } cases[] = {{1, 1}, {2, 1}, {5, 1}, {1, GANG_SEATS}, {2, GANG_SEATS}};
    (void)state;
    for (size_t k = 0; k < COUNT(cases); k++) {
        struct gang *g = create(cases[k].slots, 0, WORKERS);
        struct ledger *l = new_ledger(cases[k].seats);
        if (l->seats > 1)
            let_runs_be_short(g);
        pid_t workers[WORKERS];
        for (int i = 0; i < WORKERS; i++)
            workers[i] = start_worker(g, l, TURNS);
        for (int i = 0; i < WORKERS; i++) {
            int status;
            assert_int_equal(waitpid(workers[i], &status, 0), workers[i]);
            assert_int_equal(status, 0);
        }
        assert_int_equal(l->collisions, 0);
        assert_int_equal(l->turns, (uint64_t)WORKERS * (TURNS - (TURNS + 6) / 7));
        assert_all_idle(g);
        (void)munmap(l, sizeof(*l));
        gang_close(g);
    }
}

/* Killed anywhere, fifty times: the others go on, and in the end nothing is missing. */
static void kill_workers_at_any_moment(int seats)
{
    struct gang *g = create(2, 0, WORKERS);
    struct ledger *l = new_ledger(seats);
    if (seats > 1)
        let_runs_be_short(g);
    for (int round = 0; round < 50; round++) {
        pid_t doomed[WORKERS / 2], others[WORKERS / 2];
        uint64_t before = l->turns;
        for (int i = 0; i < WORKERS / 2; i++) {
            doomed[i] = start_worker(g, l, 1000000000);
            others[i] = start_worker(g, l, 50);
        }
        while (l->turns < before + 30)
            (void)usleep(100);
        for (int i = 0; i < WORKERS / 2; i++) {
            assert_int_equal(kill(doomed[i], SIGKILL), 0);
            assert_int_equal(waitpid(doomed[i], NULL, 0), doomed[i]);
            turn_worker_ended(g, doomed[i]);
            /* Its executor would be another by now. */
            for (int e = 0; e < 2; e++) {
                if (gang_executor(g, e)->taking == 0) {
                    atomic_store(&l->users[e], 0);
                    turn_executor_ready(g, e);
                }
            }
        }
        for (int i = 0; i < WORKERS / 2; i++) {
            int status;
            assert_int_equal(waitpid(others[i], &status, 0), others[i]);
            assert_int_equal(status, 0);
        }
        assert_all_idle(g);
    }
    assert_int_equal(l->collisions, 0);
    (void)munmap(l, sizeof(*l));
    gang_close(g);
}

static void test_workers_killed_at_any_moment_lose_no_executor_and_no_turn(void **state)
{
    (void)state;
    kill_workers_at_any_moment(1);
    /* Short runs: the dead cannot count themselves out. */
    kill_workers_at_any_moment(GANG_SEATS + WORKERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_comes_first_is_served_first),
        cmocka_unit_test(test_classes_have_lines_of_their_own),
        cmocka_unit_test(test_an_executor_that_takes_no_runs_is_handed_to_nobody),
        cmocka_unit_test(test_a_successor_waits_until_its_predecessors_run_is_given_up),
        cmocka_unit_test(test_who_asks_again_keeps_its_ticket),
        cmocka_unit_test(test_who_has_waited_long_looks_for_itself),
        cmocka_unit_test(test_a_turn_is_computed_while_its_own_run_is),
        cmocka_unit_test(test_what_a_dead_worker_had_goes_to_the_next_and_its_executor_is_killed),
        cmocka_unit_test(test_what_a_dead_worker_was_handing_out_is_handed_out),
        cmocka_unit_test(test_short_runs_go_ahead_to_the_executor_with_the_fewest),
        cmocka_unit_test(test_nobody_goes_ahead_of_a_long_run_or_while_runs_take_long),
        cmocka_unit_test(test_nobody_goes_ahead_to_an_executor_of_one_run),
        cmocka_unit_test(test_who_was_ahead_in_vain_is_the_first_to_have_an_idle_executor),
        cmocka_unit_test(test_a_dead_workers_run_ahead_costs_no_executor),
        cmocka_unit_test(test_an_executor_never_has_too_many_runs_at_once_whoever_competes),
        cmocka_unit_test(test_workers_killed_at_any_moment_lose_no_executor_and_no_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
