/* SPDX-License-Identifier: BSD-2-Clause */
/* key: the text of an Authorization field as a key; names of scopes and tenants. */
#include "auth/key.h"

#include "fuzz.h"

static const char id_characters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
static const char text_characters[] = "abcdefghijklmnopqrstuvwxyz0123456789"
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
static const char tenant_characters[] = "abcdefghijklmnopqrstuvwxyz0123456789"
                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-";

static void check_key(const char *text)
{
    char id[KEY_ID_LENGTH + 1];
    unsigned char hash[KEY_HASH_SIZE], none[KEY_HASH_SIZE] = {0};
    memset(hash, 0, sizeof(hash));
    if (!key_parse(text, id, hash))
        return;
    FUZZ_CHECK(strlen(text) == KEY_TEXT_LENGTH && strncmp(text, "gs_", 3) == 0);
    FUZZ_CHECK(strspn(text, text_characters) == KEY_TEXT_LENGTH);
    FUZZ_CHECK(strlen(id) == KEY_ID_LENGTH && strspn(id, id_characters) == KEY_ID_LENGTH);
    FUZZ_CHECK(strncmp(text + 3, id, KEY_ID_LENGTH) == 0 && text[3 + KEY_ID_LENGTH] == '_');
    FUZZ_CHECK(memcmp(hash, none, sizeof(hash)) != 0);
}

/* Of any set of scopes the names say which; of any name there is one scope at most. */
static void check_scopes(const char *name, uint32_t scopes)
{
    struct strbuf printed = STRBUF_INIT;
    uint32_t scope = key_scope_parse(name), found = 0;
    FUZZ_CHECK((scope & ~(uint32_t)SCOPE_ALL) == 0 && (scope & (scope - 1)) == 0);
    scopes &= SCOPE_ALL;
    key_scopes_print(scopes, &printed);
    char *rest = printed.size > 0 ? printed.text : NULL;
    for (char *word; rest && (word = strsep(&rest, " "));)
        found |= key_scope_parse(word);
    FUZZ_CHECK(found == scopes);
    strbuf_release(&printed);
}

static void check_tenant(const char *tenant)
{
    if (!key_tenant_is_valid(tenant))
        return;
    FUZZ_CHECK(strlen(tenant) >= 1 && strlen(tenant) < KEY_TENANT_SIZE);
    FUZZ_CHECK(tenant[strspn(tenant, tenant_characters)] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    const char *text = arena_strndup(a, (const char *)data, size);
    check_key(text);
    check_scopes(text, size > 0 ? data[0] : 0);
    check_tenant(text);
    arena_free(a);
    return 0;
}
