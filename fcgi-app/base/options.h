/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.h - the table of options, and what its kinds of values are
 *
 * For config.c, which fills struct config by it. To add an option: a row of the table in
 * options.c and a member in config.h.
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/config.h"
#include "base/strbuf.h"

enum option_kind {
    KIND_INT,
    KIND_BYTES,     /* int64_t; K, M, G */
    KIND_SECONDS,   /* double */
    KIND_TEXT,      /* min and max are its length */
    KIND_NAMES,     /* names of modules, separated by spaces */
    KIND_PATH,      /* absolute */
    KIND_ADDRESSES, /* a list as base/address.h has it */
    KIND_WORD,      /* int, its place in `words` */
};

struct option_section {
    const char *name, *help;
};

struct option {
    const char *section, *name;
    size_t offset; /* in struct config */
    enum option_kind kind;
    const char *fallback; /* the default, as the file would have it */
    double min, max;
    const char *help;
    const char *const *words;                        /* end with NULL */
    int64_t (*auto_value)(const struct config *cfg); /* what "auto" stands for; NULL: not allowed */
    const char *documented_default; /* where it depends on how the program was built */
};

/* Both end with a row whose name is NULL. Options of one section stand together. */
extern const struct option_section option_sections[];
extern const struct option options[];

#define OPTION_COUNT_MAX 64

/* Write `text` into `cfg` if the option allows it; false when it does not. */
bool option_set(const struct option *o, struct arena *a, struct config *cfg, const char *text);

/* "1 to 1024, or auto" */
void option_add_allowed(const struct option *o, struct strbuf *out);

/* The value that `cfg` has, as a file would have it. */
void option_add_value(const struct option *o, const struct config *cfg, struct strbuf *out);

/*
 * A number below 10^15 without sign: up to six decimals, or a whole one with K, M or G. What is
 * more exact than that would not survive option_add_number(). False when it is neither.
 */
bool option_parse_number(const char *text, double *ret_value);

/* "0.25", without the zeros that say nothing. */
void option_add_number(struct strbuf *out, double value);

#endif
