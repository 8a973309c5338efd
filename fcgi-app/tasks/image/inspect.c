/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.inspect: what a picture is, from its header alone. Nothing is decoded, so a picture that
 * claims to be huge costs no more than another, and image.transform's pixel limit does not apply.
 */
#include "tasks/image/image.h"

#include <cjson/cJSON.h>

static int describe(const struct picture *p, struct error *reterr)
{
    char *sha256 = g_compute_checksum_for_data(G_CHECKSUM_SHA256, p->input->bytes, p->input->size);
    cJSON *object = cJSON_CreateObject();

    if (sha256 == NULL || object == NULL) {
        g_free(sha256);
        cJSON_Delete(object);
        return error_internal(reterr, "image.inspect: out of memory");
    }
    cJSON_AddStringToObject(object, "format", image_type_name(p->type));
    cJSON_AddNumberToObject(object, "width", p->width);
    cJSON_AddNumberToObject(object, "height", p->height);
    cJSON_AddNumberToObject(object, "pages", p->pages);
    cJSON_AddBoolToObject(object, "alpha", p->has_alpha);
    cJSON_AddNumberToObject(object, "orientation", p->orientation);
    cJSON_AddStringToObject(object, "sha256", sha256);
    g_free(sha256);
    run_result(p->run, object);
    return 0;
}

int image_inspect(struct run *run, struct error *reterr)
{
    struct picture p;
    int result = picture_open(&p, run, "image", reterr);

    if (result == 0)
        result = describe(&p, reterr);
    picture_release(&p);
    return result;
}
