/* SPDX-License-Identifier: BSD-2-Clause */
/* base64: each text that is taken is the only one of its bytes, and each bytes have one. */
#include "base/base64.h"

#include "fuzz.h"

static void check_text(struct arena *a, const uint8_t *text, size_t size)
{
    struct strbuf again = STRBUF_INIT;
    unsigned char *bytes = arena_alloc(a, base64_decoded_max(size));
    ptrdiff_t count = base64_decode((const char *)text, size, bytes);
    if (count < 0)
        return;
    base64_encode(&again, bytes, (size_t)count);
    FUZZ_CHECK(again.size == size && memcmp(again.text, text, size) == 0);
    strbuf_release(&again);
}

static void check_bytes(struct arena *a, const uint8_t *bytes, size_t size)
{
    struct strbuf text = STRBUF_INIT;
    base64_encode(&text, bytes, size);
    unsigned char *again = arena_alloc(a, base64_decoded_max(text.size));
    FUZZ_CHECK(base64_decode(text.text, text.size, again) == (ptrdiff_t)size);
    FUZZ_CHECK(size == 0 || memcmp(again, bytes, size) == 0);
    strbuf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    const uint8_t *copy = arena_memdup(a, data, size);
    check_text(a, copy, size);
    check_bytes(a, copy, size);
    arena_free(a);
    return 0;
}
