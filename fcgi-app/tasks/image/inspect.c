/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.inspect: what a picture is. The header and the metadata cost nothing to speak of, so a
 * picture that claims to be huge costs no more than another. What takes pixels is decoded only when
 * `include` asks for it, within the limit: once shrunk for the figures that a miniature does for,
 * once in full for those that every pixel counts for.
 */
#include <string.h>

#include <cjson/cJSON.h>
#include <openssl/sha.h>

#include "tasks/image/figures.h"
#include "tasks/image/metadata.h"

enum include {
    INCLUDE_EXIF,
    INCLUDE_IPTC,
    INCLUDE_XMP,
    INCLUDE_ICC,
    INCLUDE_PALETTE,
    INCLUDE_BLURHASH,
    INCLUDE_PERCEPTUAL_HASH,
    INCLUDE_ENTROPY,
    INCLUDE_SHARPNESS,
    INCLUDE_HISTOGRAM,
    INCLUDE_IS_OPAQUE,
    INCLUDE_COUNT
};

static const char *const include_names[INCLUDE_COUNT] = {
    "exif",    "iptc",      "xmp",       "icc",      "palette", "blurhash", "perceptual_hash",
    "entropy", "sharpness", "histogram", "is_opaque"};

struct inspection {
    struct picture picture;
    bool includes[INCLUDE_COUNT];
    const cJSON *params;
    cJSON *result;
};

static void parse_include(struct inspection *in)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(in->params, "include"))
    {
        const char *name = cJSON_GetStringValue(item);
        for (int i = 0; name != NULL && i < INCLUDE_COUNT; i++)
            in->includes[i] |= strcmp(include_names[i], name) == 0;
    }
}

static int number(const cJSON *params, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(params, name)->valueint;
}

static struct colour background_of(const cJSON *params)
{
    return colour_parse(
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(params, "background")));
}

/* The header. */

static const char *colour_space_name(const VipsImage *image)
{
    switch (vips_image_guess_interpretation(image)) {
    case VIPS_INTERPRETATION_B_W:
    case VIPS_INTERPRETATION_GREY16:
        return "grey";
    case VIPS_INTERPRETATION_CMYK:
        return "cmyk";
    case VIPS_INTERPRETATION_LAB:
    case VIPS_INTERPRETATION_LABQ:
    case VIPS_INTERPRETATION_LABS:
        return "lab";
    case VIPS_INTERPRETATION_sRGB:
    case VIPS_INTERPRETATION_RGB:
    case VIPS_INTERPRETATION_RGB16:
    case VIPS_INTERPRETATION_scRGB:
        return "rgb";
    default:
        return "other";
    }
}

static int bits_per_sample(const struct picture *p)
{
    if (p->type == IMAGE_PNG && p->input->size > 24)
        return p->input->bytes[24]; /* of IHDR; libvips unpacks one, two and four bits */
    return (int)(vips_format_sizeof(p->image->BandFmt) * 8);
}

/* libvips counts pixels a millimetre, and gives one of them where a file says nothing. */
static void add_resolution(cJSON *result, const VipsImage *image)
{
    if (vips_image_get_typeof(image, VIPS_META_RESOLUTION_UNIT) == 0)
        return;
    cJSON *dpi = cJSON_AddObjectToObject(result, "dpi");
    cJSON_AddNumberToObject(dpi, "x", (double)(int)(image->Xres * 25400 + 0.5) / 1000);
    cJSON_AddNumberToObject(dpi, "y", (double)(int)(image->Yres * 25400 + 0.5) / 1000);
}

/* How long each frame is shown, and how often all are: 0 is for ever. */
static void add_animation(cJSON *result, const struct picture *p)
{
    int *delays, count, loop;

    if (p->pages < 2 || vips_image_get_typeof(p->image, "delay") == 0 ||
        vips_image_get_array_int(p->image, "delay", &delays, &count) != 0)
        return;
    cJSON *animation = cJSON_AddObjectToObject(result, "animation");
    cJSON_AddItemToObject(animation, "delays_ms",
                          cJSON_CreateIntArray(delays, VIPS_MIN(count, p->pages)));
    if (vips_image_get_typeof(p->image, "loop") != 0 &&
        vips_image_get_int(p->image, "loop", &loop) == 0)
        cJSON_AddNumberToObject(animation, "loop", loop);
}

/* By libcrypto, which has the processor's instructions for it: GLib's takes ten times as long. */
static void add_sha256(cJSON *result, const struct run_input *input)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[2 * SHA256_DIGEST_LENGTH + 1];

    SHA256(input->bytes, input->size, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    cJSON_AddStringToObject(result, "sha256", text);
}

static int describe(struct inspection *in, struct error *reterr)
{
    const struct picture *p = &in->picture;
    int interlaced = 0;

    if (in->result == NULL)
        return error_internal(reterr, "image.inspect: out of memory");
    cJSON_AddStringToObject(in->result, "format", image_type_name(p->type));
    cJSON_AddNumberToObject(in->result, "width", p->width);
    cJSON_AddNumberToObject(in->result, "height", p->height);
    cJSON_AddNumberToObject(in->result, "pages", p->pages);
    cJSON_AddBoolToObject(in->result, "alpha", p->has_alpha);
    cJSON_AddNumberToObject(in->result, "orientation", p->orientation);
    cJSON_AddStringToObject(in->result, "colour_space", colour_space_name(p->image));
    cJSON_AddNumberToObject(in->result, "channels", p->image->Bands);
    cJSON_AddNumberToObject(in->result, "bits_per_sample", bits_per_sample(p));
    if (vips_image_get_typeof(p->image, "interlaced") != 0 &&
        vips_image_get_int(p->image, "interlaced", &interlaced) != 0)
        interlaced = 0;
    cJSON_AddBoolToObject(in->result, "is_progressive", interlaced != 0);
    add_resolution(in->result, p->image);
    add_animation(in->result, p);
    add_sha256(in->result, p->input);
    return 0;
}

/* Metadata. */

static cJSON *exif_of(const void *block, size_t size, struct budget *b)
{
    return metadata_exif(block, size, false, b);
}

static const struct {
    enum include include;
    const char *field; /* where libvips keeps it */
    cJSON *(*read)(const void *block, size_t size, struct budget *b);
} kinds[] = {
    {INCLUDE_ICC, VIPS_META_ICC_NAME, metadata_icc},
    {INCLUDE_EXIF, VIPS_META_EXIF_NAME, exif_of},
    {INCLUDE_IPTC, VIPS_META_IPTC_NAME, metadata_iptc},
    {INCLUDE_XMP, VIPS_META_XMP_NAME, metadata_xmp},
};

static cJSON *read_kind(const struct picture *p, size_t i, struct budget *b)
{
    const void *block;
    size_t size;

    if (kinds[i].include == INCLUDE_EXIF && p->type == IMAGE_TIFF)
        return metadata_exif(p->input->bytes, p->input->size, true, b);
    if (vips_image_get_typeof(p->image, kinds[i].field) == 0 ||
        vips_image_get_blob(p->image, kinds[i].field, &block, &size) != 0)
        return NULL;
    return kinds[i].read(block, size, b);
}

static void add_metadata(struct inspection *in)
{
    struct run *run = in->picture.run;
    struct budget budget = {.members = run_limit(run, "max_metadata_members"),
                            .bytes = run_limit(run, "max_metadata_kb") * 1024};

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        cJSON *object = in->includes[kinds[i].include] ? read_kind(&in->picture, i, &budget) : NULL;
        if (object != NULL)
            cJSON_AddItemToObject(in->result, include_names[kinds[i].include], object);
    }
    cJSON_AddNumberToObject(in->result, "metadata_omitted", budget.omitted);
}

/* Figures of the miniature. */

static void add_palette(cJSON *result, const struct miniature *m, int max)
{
    struct palette_colour colours[PALETTE_MAX];
    int count = palette_of(m, max, colours);
    cJSON *palette = cJSON_AddArrayToObject(result, "palette");

    for (int i = 0; i < count; i++) {
        const unsigned char *rgb = colours[i].rgb;
        char *hex = g_strdup_printf("#%02x%02x%02x", rgb[0], rgb[1], rgb[2]);
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "colour", hex);
        cJSON_AddNumberToObject(item, "share", colours[i].share);
        cJSON_AddItemToArray(palette, item);
        if (i == 0)
            cJSON_AddStringToObject(result, "dominant_colour", hex);
        g_free(hex);
    }
}

static void add_hash(cJSON *result, const char *name, uint64_t hash)
{
    char *hex = g_strdup_printf("%016" G_GINT64_MODIFIER "x", (guint64)hash);
    cJSON_AddStringToObject(result, name, hex);
    g_free(hex);
}

static int add_small_figures(struct inspection *in, struct error *reterr)
{
    struct miniature m;
    char hash[BLURHASH_SIZE];

    int result = miniature_make(&m, &in->picture, background_of(in->params), reterr);
    if (result == 0 && in->includes[INCLUDE_PALETTE])
        add_palette(in->result, &m, number(in->params, "colours"));
    if (result == 0 && in->includes[INCLUDE_BLURHASH]) {
        blurhash(&m, number(in->params, "blurhash_x"), number(in->params, "blurhash_y"), hash);
        cJSON_AddStringToObject(in->result, "blurhash", hash);
    }
    if (result == 0 && in->includes[INCLUDE_PERCEPTUAL_HASH]) {
        add_hash(in->result, "phash", hash_phash(&m));
        add_hash(in->result, "dhash", hash_dhash(&m));
    }
    miniature_release(&m);
    return result;
}

/* Figures of all pixels. */

static void add_histogram(cJSON *result, const struct statistics *s, bool has_alpha)
{
    static const char *const names[CHANNEL_COUNT] = {"red", "green", "blue", "alpha", "luma"};
    cJSON *histogram = cJSON_AddObjectToObject(result, "histogram");

    for (int c = 0; c < CHANNEL_COUNT; c++) {
        if (c == CHANNEL_ALPHA && !has_alpha)
            continue;
        cJSON *bins = cJSON_AddArrayToObject(histogram, names[c]);
        for (int i = 0; i < 256; i++)
            cJSON_AddItemToArray(bins, cJSON_CreateNumber((double)s->histogram[c][i]));
    }
}

static bool is_opaque(const struct statistics *s)
{
    uint64_t pixels = (uint64_t)s->width * (uint64_t)s->height;
    return s->histogram[CHANNEL_ALPHA][255] == pixels;
}

static int read_all(struct statistics *s, struct pixels *px, struct error *reterr)
{
    for (int y = 0; y < px->height; y++) {
        const unsigned char *row = pixels_next(px, reterr);
        if (row == NULL)
            return -1;
        statistics_add(s, row, y);
    }
    return 0;
}

static int add_full_figures(struct inspection *in, struct error *reterr)
{
    struct pixels px = {0};
    struct statistics s = {0};
    int result = -1;

    if (colour_to_srgb(&in->picture, false, reterr) == 0 &&
        pixels_open(&px, &in->picture, reterr) == 0 &&
        statistics_init(&s, px.width, px.height, background_of(in->params), reterr) == 0)
        result = read_all(&s, &px, reterr);
    if (result == 0 && in->includes[INCLUDE_ENTROPY])
        cJSON_AddNumberToObject(in->result, "entropy", statistics_entropy(&s));
    if (result == 0 && in->includes[INCLUDE_SHARPNESS])
        cJSON_AddNumberToObject(in->result, "sharpness", statistics_sharpness(&s));
    if (result == 0 && in->includes[INCLUDE_HISTOGRAM])
        add_histogram(in->result, &s, in->picture.has_alpha);
    if (result == 0 && in->includes[INCLUDE_IS_OPAQUE] && in->picture.has_alpha)
        cJSON_AddBoolToObject(in->result, "is_opaque", is_opaque(&s));
    statistics_release(&s);
    pixels_close(&px);
    return result;
}

static int add_figures(struct inspection *in, struct error *reterr)
{
    const bool *asked = in->includes;
    bool is_small =
        asked[INCLUDE_PALETTE] || asked[INCLUDE_BLURHASH] || asked[INCLUDE_PERCEPTUAL_HASH];
    bool is_full = asked[INCLUDE_ENTROPY] || asked[INCLUDE_SHARPNESS] || asked[INCLUDE_HISTOGRAM] ||
                   (asked[INCLUDE_IS_OPAQUE] && in->picture.has_alpha);
    VipsRect all = {0, 0, in->picture.width, in->picture.height};

    if (asked[INCLUDE_IS_OPAQUE] && !in->picture.has_alpha)
        cJSON_AddTrueToObject(in->result, "is_opaque");
    if (!is_small && !is_full)
        return 0;
    if (picture_check(&in->picture, reterr) != 0)
        return -1;
    if (is_small && add_small_figures(in, reterr) != 0)
        return -1;
    if (is_small && is_full && picture_reopen(&in->picture, 1, &all, reterr) != 0)
        return -1;
    return is_full ? add_full_figures(in, reterr) : 0;
}

int image_inspect(struct run *run, struct error *reterr)
{
    struct inspection in = {.params = run_params(run), .result = cJSON_CreateObject()};
    const bool *asked = in.includes;

    parse_include(&in);
    int result = picture_open(&in.picture, run, "image", reterr);
    if (result == 0)
        result = describe(&in, reterr);
    if (result == 0 &&
        (asked[INCLUDE_EXIF] || asked[INCLUDE_IPTC] || asked[INCLUDE_XMP] || asked[INCLUDE_ICC]))
        add_metadata(&in);
    if (result == 0)
        result = add_figures(&in, reterr);
    picture_release(&in.picture);
    if (result == 0)
        run_result(run, in.result);
    else
        cJSON_Delete(in.result);
    return result;
}
