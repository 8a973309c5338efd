/* SPDX-License-Identifier: BSD-2-Clause */
/* field: media types, parameters and file names of header fields. */
#include "http/field.h"

#include "fuzz.h"
#include "http/disposition.h"
#include "http/request.h"

static void check_file_name(struct arena *a, const char *name)
{
    const char *again;
    struct error err;
    FUZZ_CHECK(fuzz_is_printable(name) && strlen(name) <= DISPOSITION_NAME_MAX);
    FUZZ_CHECK(!strpbrk(name, "/\\") && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    const char *field = disposition_format(a, "attachment", name);
    for (const char *c = field; *c; c++)
        FUZZ_CHECK(*c >= 0x20 && *c < 0x7f);
    FUZZ_CHECK(disposition_read(a, field, &again, &err) == 0);
    FUZZ_CHECK(strcmp(again, name) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct error err;
    const char *name, *rest, *field = arena_strndup(a, (const char *)data, size);
    if (disposition_read(a, field, &name, &err) != 0)
        fuzz_check_error(&err, ERR_INVALID_REQUEST);
    else
        check_file_name(a, name);
    const char *media_type = field_media_type(a, field, &rest);
    if (media_type) {
        FUZZ_CHECK(strchr(media_type, '/') && fuzz_is_printable(media_type));
        FUZZ_CHECK(rest > field && rest <= field + strlen(field));
    }
    const char *boundary = http_field_param(a, field, "boundary");
    if (boundary)
        FUZZ_CHECK(strlen(boundary) < strlen(field));
    arena_free(a);
    return 0;
}
