/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key_command.h - `gangsaw key`: makes, lists and revokes keys
 *
 * What is made or revoked is in the database; the command returns when the workers of this host
 * know it, so that a script can go on.
 */
#ifndef HUB_KEY_COMMAND_H
#define HUB_KEY_COMMAND_H

#include <stdbool.h>

#include "base/config.h"
#include "db/key.h"

/* The words after `gangsaw key`. Returns the exit status: 0; 1; 64 for wrong words; 78 when there
 * is no database. */
int key_command(const struct config *cfg, int argc, char *const *argv);

/* ---- key_print.c: for people, and for programs. Nothing of it is secret but `text`. */

void key_print_table(const struct key_row *keys, int count);
void key_print_json(const struct key_row *keys, int count);
void key_print_new_json(const struct key_row *key, const char *text);

#endif
