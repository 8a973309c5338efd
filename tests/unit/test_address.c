/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses: who is this host, who is in a network; anything that is no address is nobody.
 */
#include "base/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_loopback_is_known_in_every_form(void **state)
{
    static const char *const yes[] = {"127.0.0.1",       "127.255.0.3",      "::1",
                                      "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::ffff:7f00:1"};
    static const char *const no[] = {"128.0.0.1",    "126.255.255.255",
                                     "::2",          "::",
                                     "0.0.0.0",      "",
                                     "localhost",    "127.1",
                                     "127.0.0.1 ",   " 127.0.0.1",
                                     "unix:",        "127.0.0.1,10.0.0.1",
                                     "0177.0.0.1",   "::127.0.0.1",
                                     "fe80::1",      "::ffff:128.0.0.1",
                                     "127.0.0.1:80", "[::1]",
                                     "::1%lo"};
    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (!address_is_loopback(yes[i]))
            fail_msg("%s", yes[i]);
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        if (address_is_loopback(no[i]))
            fail_msg("%s", no[i]);
    }
    assert_false(address_is_loopback(NULL));
}

static void test_networks_end_where_their_prefix_says(void **state)
{
    static const struct {
        const char *list, *address;
        bool is_in;
    } rows[] = {
        {"", "10.0.0.1", false},
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"10.0.0.1", "::ffff:10.0.0.1", true},
        {"::ffff:10.0.0.1", "10.0.0.1", true},
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "9.255.255.255", false},
        {"192.168.4.0/22", "192.168.7.255", true},
        {"192.168.4.0/22", "192.168.8.0", false},
        {"192.168.4.0/32", "192.168.4.0", true},
        {"192.168.4.0/32", "192.168.4.1", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::", false},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"2001:db8::1", "2001:DB8:0::1", true},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"10.0.0.1  172.16.0.0/12 ::1", "172.31.0.1", true},
        {"10.0.0.1  172.16.0.0/12 ::1", "::1", true},
        {"10.0.0.1  172.16.0.0/12 ::1", "172.32.0.1", false},
        {"10.0.0.0/8", "", false},
        {"10.0.0.0/8", "10.0.0.0/8", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (address_is_in(rows[i].address, rows[i].list) != rows[i].is_in)
            fail_msg("%s in %s", rows[i].address, rows[i].list);
    }
    assert_false(address_is_in(NULL, "0.0.0.0/0"));
}

static void test_what_is_no_list_is_known(void **state)
{
    static const char *const good[] = {"",        " ",           "10.0.0.1", "10.0.0.0/8 ::1",
                                       "::1/128", "10.0.0.0/32", "0.0.0.0/0"};
    static const char *const bad[] = {
        "10.0.0.1/8",   "10.0.0.0/33",   "::/129",      "10.0.0.0/",
        "10.0.0.0/08",  "10.0.0.0/-1",   "10.0.0.0/+8", "/8",
        "10.0.0",       "10.0.0.0,::1",  "host",        "2001:db8::1/32",
        "10.0.0.0/8/8", "10.0.0.0/1000", "10.0.0.0/ 8", "::g"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!address_list_is_valid(good[i]))
            fail_msg("%s", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (address_list_is_valid(bad[i]))
            fail_msg("%s", bad[i]);
    }
    /* A network in the middle of a list that is none lets nobody in. */
    assert_false(address_is_in("10.0.0.1", "10.0.0.1/8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loopback_is_known_in_every_form),
        cmocka_unit_test(test_networks_end_where_their_prefix_says),
        cmocka_unit_test(test_what_is_no_list_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
