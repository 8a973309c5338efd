/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * address.h - internet addresses as texts, and lists of networks that they may be in
 *
 * A list is addresses and networks with spaces between: "10.0.0.7 192.168.0.0/16 2001:db8::/32".
 * IPv4 is the same as IPv4 mapped into IPv6 (::ffff:10.0.0.7).
 */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <stdbool.h>

/* 127.0.0.0/8 and ::1, mapped ones too. False for anything that is no address, and for NULL. */
bool address_is_loopback(const char *text);

/* Is it one of the list's, or in one of its networks? False as above. */
bool address_is_in(const char *text, const char *list);

/* Is it a list? A network has no bits behind its prefix: 10.0.0.7/8 is none. "" is a list. */
bool address_list_is_valid(const char *list);

#endif
