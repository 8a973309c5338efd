/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * banned.h - functions that do not compile here
 *
 * Each has a bounded or checked counterpart: snprintf, memcpy, strbuf, strtol.
 * The build includes it before every file of ours (-include), after the system headers
 * that name them.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __GNUC__
#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol gets
#endif

#endif
