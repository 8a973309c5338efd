/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.compare: how much two pictures differ. Both are decoded side by side, row by row, upright,
 * in 8-bit sRGB and before a background; only a picture that has to be turned, and the difference
 * image, are in memory as a whole.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "tasks/image/figures.h"

enum difference { DIFFERENCE_NONE, DIFFERENCE_ABSOLUTE, DIFFERENCE_HIGHLIGHT };

struct comparison {
    struct picture image, reference;
    struct colour background;
    bool is_resizing;
    int threshold;
    enum difference difference;

    int width, height; /* of both */
    struct ssim *ssim; /* NULL: too small for a window */
    unsigned char *luma_a, *luma_b;
    unsigned char *canvas; /* of the difference image, RGB */
    uint64_t squares, differing;
    int largest;
    int phash_distance;
};

static enum difference difference_parse(const char *name)
{
    if (strcmp(name, "absolute") == 0)
        return DIFFERENCE_ABSOLUTE;
    return strcmp(name, "highlight") == 0 ? DIFFERENCE_HIGHLIGHT : DIFFERENCE_NONE;
}

static void parse(struct comparison *c, const cJSON *params)
{
    const cJSON *background = cJSON_GetObjectItemCaseSensitive(params, "background");
    const cJSON *difference = cJSON_GetObjectItemCaseSensitive(params, "difference");

    c->background = colour_parse(cJSON_GetStringValue(background));
    c->is_resizing = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(params, "resize"));
    c->threshold = cJSON_GetObjectItemCaseSensitive(params, "threshold")->valueint;
    c->difference = difference_parse(cJSON_GetStringValue(difference));
}

static struct size upright_size(const struct picture *p)
{
    return turn_size(turn_from_exif(p->orientation), (struct size){p->width, p->height});
}

static int check_sizes(struct comparison *c, struct error *reterr)
{
    struct size image = upright_size(&c->image), reference = upright_size(&c->reference);

    c->width = reference.width;
    c->height = reference.height;
    if (c->is_resizing || (image.width == reference.width && image.height == reference.height))
        return 0;
    return error_set(reterr, ERR_INVALID_INPUT,
                     "The input image is %dx%d pixels upright, the input reference %dx%d: they "
                     "have to be of one size, unless resize is true.",
                     image.width, image.height, reference.width, reference.height);
}

static int turn_upright(struct picture *p, struct error *reterr)
{
    VipsImage *next = NULL;

    if (p->orientation <= 1)
        return 0;
    if (picture_to_memory(p, reterr) != 0)
        return -1;
    return picture_step(p, vips_autorot(p->image, &next, NULL), &next, reterr);
}

static int resize(struct picture *p, int width, int height, struct error *reterr)
{
    VipsImage *next = NULL;
    double x = (double)width / p->image->Xsize, y = (double)height / p->image->Ysize;

    if (width == p->image->Xsize && height == p->image->Ysize)
        return 0;
    return picture_step(p, vips_resize(p->image, &next, x, "vscale", y, NULL), &next, reterr);
}

/* Both are decoded side by side; what has to be turned is decoded before, and kept. */
static int check_memory(const struct comparison *c, struct error *reterr)
{
    struct size size = {c->width, c->height};
    double megabytes = 0;
    const struct picture *const both[] = {&c->image, &c->reference};

    for (size_t i = 0; i < G_N_ELEMENTS(both); i++) {
        const struct picture *p = both[i];
        struct size own = {p->width, p->height};
        megabytes += memory_of_decoder(p);
        megabytes += p->orientation > 1 ? memory_of_pixels(own, 1, p->has_alpha ? 4 : 3) : 0;
    }
    if (c->difference != DIFFERENCE_NONE)
        megabytes += memory_of_pixels(size, 1, 3);
    return memory_check_result(&c->image, size, megabytes, reterr);
}

/* Hash it, then open it again for a full decode. */
static int prepare(struct comparison *c, struct picture *p, uint64_t *ret_hash,
                   struct error *reterr)
{
    VipsRect all = {0, 0, p->width, p->height};
    struct miniature m;

    int result = miniature_make(&m, p, c->background, reterr);
    if (result == 0)
        *ret_hash = hash_phash(&m);
    miniature_release(&m);
    if (result != 0 || picture_reopen(p, 1, &all, reterr) != 0 ||
        colour_to_srgb(p, false, reterr) != 0 || colour_flatten(p, c->background, reterr) != 0 ||
        turn_upright(p, reterr) != 0)
        return -1;
    return resize(p, c->width, c->height, reterr);
}

static int allocate(struct comparison *c, struct error *reterr)
{
    size_t width = (size_t)c->width;

    c->ssim = ssim_new(c->width, c->height);
    c->luma_a = g_try_malloc(width);
    c->luma_b = g_try_malloc(width);
    if (c->difference != DIFFERENCE_NONE)
        c->canvas = g_try_malloc(width * (size_t)c->height * 3);
    if (c->luma_a == NULL || c->luma_b == NULL ||
        (c->difference != DIFFERENCE_NONE && c->canvas == NULL) ||
        (c->ssim == NULL && c->width >= SSIM_WINDOW && c->height >= SSIM_WINDOW))
        return error_internal(reterr, "out of memory for a comparison");
    return 0;
}

/* One pixel of the difference image. */
static void paint(unsigned char *out, enum difference kind, const unsigned char *a,
                  const unsigned char *b, bool is_differing)
{
    if (kind == DIFFERENCE_ABSOLUTE) {
        for (int k = 0; k < 3; k++)
            out[k] = (unsigned char)abs(a[k] - b[k]);
        return;
    }
    unsigned char pale = (unsigned char)(192 + luma_of(b) / 4);
    out[0] = is_differing ? 255 : pale;
    out[1] = out[2] = is_differing ? 0 : pale;
}

static void compare_rows(struct comparison *c, const unsigned char *a, const unsigned char *b,
                         int y)
{
    unsigned char *out = c->canvas;

    if (out != NULL)
        out += (size_t)y * (size_t)c->width * 3;
    for (int x = 0; x < c->width; x++, a += 4, b += 4) {
        int largest = 0;
        for (int k = 0; k < 3; k++) {
            int difference = abs(a[k] - b[k]);
            c->squares += (uint64_t)(difference * difference);
            largest = VIPS_MAX(largest, difference);
        }
        c->largest = VIPS_MAX(c->largest, largest);
        c->differing += largest > c->threshold;
        c->luma_a[x] = luma_of(a);
        c->luma_b[x] = luma_of(b);
        if (out != NULL)
            paint(out + (size_t)x * 3, c->difference, a, b, largest > c->threshold);
    }
    if (c->ssim != NULL)
        ssim_add(c->ssim, c->luma_a, c->luma_b);
}

static int compare_pixels(struct comparison *c, struct error *reterr)
{
    struct pixels a, b = {0};
    int result = -1;

    if (pixels_open(&a, &c->image, reterr) == 0 && pixels_open(&b, &c->reference, reterr) == 0)
        result = 0;
    for (int y = 0; result == 0 && y < c->height; y++) {
        const unsigned char *row_a = pixels_next(&a, reterr);
        const unsigned char *row_b = row_a != NULL ? pixels_next(&b, reterr) : NULL;
        if (row_b == NULL)
            result = -1;
        else
            compare_rows(c, row_a, row_b, y);
    }
    pixels_close(&a);
    pixels_close(&b);
    return result;
}

/* Written as the picture `image` would be, whose pixels are not needed any more. */
static int write_difference(struct comparison *c, struct error *reterr)
{
    struct save_request request = {.output = "difference", .type = IMAGE_PNG, .is_stripped = true};
    VipsImage *canvas =
        vips_image_new_from_memory(c->canvas, (size_t)c->width * (size_t)c->height * 3, c->width,
                                   c->height, 3, VIPS_FORMAT_UCHAR);
    VipsImage *next = NULL;
    struct saved saved;

    if (canvas == NULL)
        return picture_failed(&c->image, reterr);
    int failed = vips_copy(canvas, &next, "interpretation", VIPS_INTERPRETATION_sRGB, NULL);
    g_object_unref(canvas);
    if (picture_step(&c->image, failed, &next, reterr) != 0)
        return -1;
    return picture_save(&c->image, &request, &saved, reterr);
}

static void give_result(const struct comparison *c)
{
    double pixels = (double)c->width * c->height;
    double error = (double)c->squares / (pixels * 3);
    cJSON *result = cJSON_CreateObject();

    cJSON_AddNumberToObject(result, "width", c->width);
    cJSON_AddNumberToObject(result, "height", c->height);
    cJSON_AddBoolToObject(result, "is_identical", c->squares == 0);
    cJSON_AddNumberToObject(result, "mse", error);
    if (c->squares > 0)
        cJSON_AddNumberToObject(result, "psnr", 10 * log10(255.0 * 255.0 / error));
    if (c->ssim != NULL)
        cJSON_AddNumberToObject(result, "ssim", ssim_mean(c->ssim));
    cJSON_AddNumberToObject(result, "max_difference", c->largest);
    cJSON_AddNumberToObject(result, "differing_pixels", (double)c->differing);
    cJSON_AddNumberToObject(result, "differing_share", (double)c->differing / pixels);
    cJSON_AddNumberToObject(result, "phash_distance", c->phash_distance);
    run_result(c->image.run, result);
}

static int compare(struct comparison *c, struct error *reterr)
{
    uint64_t hash_a = 0, hash_b = 0;

    if (picture_check(&c->image, reterr) != 0 || picture_check(&c->reference, reterr) != 0 ||
        check_sizes(c, reterr) != 0 || check_memory(c, reterr) != 0 ||
        prepare(c, &c->image, &hash_a, reterr) != 0 ||
        prepare(c, &c->reference, &hash_b, reterr) != 0 || allocate(c, reterr) != 0 ||
        compare_pixels(c, reterr) != 0)
        return -1;
    c->phash_distance = hash_distance(hash_a, hash_b);
    if (c->canvas != NULL && write_difference(c, reterr) != 0)
        return -1;
    give_result(c);
    return 0;
}

int image_compare(struct run *run, struct error *reterr)
{
    struct comparison c = {0};
    int result = -1;

    parse(&c, run_params(run));
    if (picture_open(&c.image, run, "image", reterr) == 0 &&
        picture_open(&c.reference, run, "reference", reterr) == 0)
        result = compare(&c, reterr);
    picture_release(&c.image);
    picture_release(&c.reference);
    ssim_free(c.ssim);
    g_free(c.luma_a);
    g_free(c.luma_b);
    g_free(c.canvas);
    return result;
}
