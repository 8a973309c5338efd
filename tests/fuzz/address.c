/* SPDX-License-Identifier: BSD-2-Clause */
/* address: an address in the first line, networks in the second. */
#include "base/address.h"

#include <arpa/inet.h>

#include "fuzz.h"

static bool is_local(const char *text)
{
    static const unsigned char mapped[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    static const unsigned char one[16] = {[15] = 1};
    unsigned char v4[4], v6[16];
    if (inet_pton(AF_INET, text, v4) == 1)
        return v4[0] == 127;
    return inet_pton(AF_INET6, text, v6) == 1 &&
           (memcmp(v6, one, sizeof(one)) == 0 || memcmp(v6, mapped, sizeof(mapped)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct fuzz_input in = {data, data + size};
    const char *address = fuzz_line(&in, a), *list = fuzz_line(&in, a);
    bool is_address = address_is_in(address, "0.0.0.0/0 ::/0");
    FUZZ_CHECK(address_is_loopback(address) == is_local(address));
    FUZZ_CHECK(!address_is_in(address, list) || is_address);
    FUZZ_CHECK(!is_address || address_is_in(address, address));
    if (is_address && address_list_is_valid(list)) {
        const char *longer = arena_printf(a, "%s %s", list, address);
        FUZZ_CHECK(address_list_is_valid(longer) && address_is_in(address, longer));
    }
    arena_free(a);
    return 0;
}
