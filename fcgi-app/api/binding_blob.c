/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * binding_blob.c - inputs that are blobs: are they there, do they suit, and their bytes
 */
#include <stdlib.h>
#include <string.h>

#include "api/binding_internal.h"

/* An error of one among several bodies says which. */
static int at_pointer(const struct binding *b, const struct binding_blob *blob,
                      struct error *reterr)
{
    if (*b->pointer) {
        const struct error e = *reterr;
        (void)error_set(reterr, e.code, "%.60s: %.250s", blob->pointer, e.detail);
    }
    return -1;
}

/* What the client did not say of the input, the blob does. */
static int describe(struct arena *a, const struct binding_blob *blob, struct order_input *input,
                    const struct blob_info *info, struct error *reterr)
{
    const char *media_type = blob->has_media_type ? input->media_type : info->media_type;
    if (info->size < 0 || binding_check_size(blob->slot, (size_t)info->size, reterr) != 0 ||
        binding_check_media_type(a, blob->slot, &media_type, reterr) != 0)
        return -1;
    input->media_type = arena_strdup(a, media_type);
    if (*input->file_name == '\0' && info->file_name)
        input->file_name = arena_strdup(a, info->file_name);
    return 0;
}

static int check_total(const struct binding *b, size_t size, struct error *reterr)
{
    if (size <= b->max_bytes)
        return 0;
    return error_set(reterr, ERR_TOO_LARGE,
                     "The inputs have %zu bytes together; the limit is http.max_body_bytes = %zu.",
                     size, b->max_bytes);
}

static int compare_keys(const void *one, const void *two)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)two;
    return (a > b) - (a < b);
}

static int compare_infos(const void *one, const void *two)
{
    return compare_keys(&((const struct blob_info *)one)->key,
                        &((const struct blob_info *)two)->key);
}

/* The keys that the ids stand for, each once. */
static int collect_keys(const struct db_secret *secret, const char *tenant,
                        struct binding *const *bindings, int count, int64_t *keys)
{
    int n = 0, kept = 0;
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < bindings[i]->blob_count; k++) {
            struct binding_blob *blob = &bindings[i]->blobs[k];
            if (db_id_parse(secret, DB_ID_BLOB, tenant, blob->id, &blob->key))
                keys[n++] = blob->key;
            else
                blob->key = 0;
        }
    }
    qsort(keys, (size_t)n, sizeof(*keys), compare_keys);
    for (int i = 0; i < n; i++) {
        if (kept == 0 || keys[i] != keys[kept - 1])
            keys[kept++] = keys[i];
    }
    return kept;
}

struct found {
    const struct blob_info *infos; /* by key */
    int count;
};

static const struct blob_info *find_info(const struct found *found, int64_t key)
{
    const struct blob_info wanted = {.key = key};
    if (key == 0 || found->count == 0)
        return NULL;
    return bsearch(&wanted, found->infos, (size_t)found->count, sizeof(wanted), compare_infos);
}

static int resolve_one(struct arena *a, const struct found *found, struct binding *b,
                       struct field_errors *errors, struct error *reterr)
{
    size_t total = b->body->size;
    for (int i = 0; i < b->blob_count; i++) {
        struct binding_blob *blob = &b->blobs[i];
        const struct blob_info *info = find_info(found, blob->key);
        if (!info) {
            field_errors_add(errors, json_pointer_join(a, blob->pointer, "blob"),
                             "is no file that this server has; it may have expired");
            continue;
        }
        blob->size = info->size;
        if (describe(a, blob, &b->inputs[blob->input], info, reterr) != 0)
            return at_pointer(b, blob, reterr);
        total += (size_t)info->size; /* each is at most max_bytes of the descriptor */
        if (check_total(b, total, reterr) != 0)
            return at_pointer(b, blob, reterr);
    }
    return 0;
}

int binding_resolve(struct db *db, struct arena *a, const char *tenant,
                    struct binding *const *bindings, int count, struct field_errors *errors,
                    struct error *reterr)
{
    const struct db_secret *secret;
    struct blob_info *infos = NULL;
    int total = 0, before = errors->count, info_count = 0;
    for (int i = 0; i < count; i++)
        total += bindings[i]->blob_count;
    if (total == 0)
        return 0;
    if (db_read_secret(db, &secret, reterr) != 0)
        return -1;
    int64_t *keys = arena_alloc(a, (size_t)total * sizeof(*keys));
    int key_count = collect_keys(secret, tenant, bindings, count, keys);
    if (key_count > 0 &&
        blob_get_many(db, a, tenant, keys, key_count, &infos, &info_count, reterr) != 0)
        return -1;
    if (info_count > 0)
        qsort(infos, (size_t)info_count, sizeof(*infos), compare_infos);
    const struct found found = {infos, info_count};
    for (int i = 0; i < count; i++) {
        if (resolve_one(a, &found, bindings[i], errors, reterr) != 0)
            return -1;
    }
    if (errors->count > before)
        return error_set(reterr, ERR_INVALID_PARAMS, "%d parameters are not valid.", errors->count);
    return 0;
}

static int load_one(struct db *db, struct arena *scratch, struct binding *b, int i,
                    struct error *reterr)
{
    const struct binding_blob *blob = &b->blobs[i];
    size_t offset = b->body->size, size = (size_t)blob->size;
    if (payload_reserve(b->body, size, reterr) != 0)
        return -1;
    for (int n = 0; b->body->size - offset < size; n++) {
        const void *bytes;
        size_t piece = 0;
        if (blob_read_chunk(db, scratch, blob->key, n, &bytes, &piece, reterr) != 0)
            return -1;
        if (piece == 0 || piece > size - (b->body->size - offset))
            return error_internal(reterr, "blob %lld: piece %d has %zu bytes", (long long)blob->key,
                                  n, piece);
        if (payload_append(b->body, bytes, piece, reterr) != 0)
            return -1;
        arena_reset(scratch);
    }
    b->inputs[blob->input].offset = offset;
    b->inputs[blob->input].size = size;
    return 0;
}

int binding_load(struct db *db, struct arena *a, struct binding *binding, struct error *reterr)
{
    (void)a;
    if (binding->blob_count == 0)
        return 0;
    struct arena *scratch = arena_new(); /* of one piece after the other */
    int result = 0;
    for (int i = 0; i < binding->blob_count && result == 0; i++) {
        result = load_one(db, scratch, binding, i, reterr);
        if (result != 0 && reterr->code == ERR_GONE)
            (void)error_set(reterr, ERR_INVALID_PARAMS, "%s/blob: has just expired.",
                            binding->blobs[i].pointer);
    }
    arena_free(scratch);
    return result;
}

int binding_place_blob(struct arena *a, const struct task_desc *task, struct binding *binding,
                       int i, size_t offset, const struct blob_info *info, struct error *reterr)
{
    struct binding_blob *blob = &binding->blobs[i];
    struct order_input *input = &binding->inputs[blob->input];
    (void)task; /* the slot is known */
    if (describe(a, blob, input, info, reterr) != 0 ||
        check_total(binding, offset + (size_t)info->size, reterr) != 0)
        return -1;
    blob->key = info->key;
    blob->size = info->size;
    input->offset = offset;
    input->size = (size_t)info->size;
    return 0;
}
