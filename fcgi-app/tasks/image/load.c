/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opens pictures that strangers sent. The type comes from the bytes, never from a name, and the
 * loader from a table: libvips' own guessing would try every format it was built with. Nothing is
 * decoded here but headers.
 */
#include "tasks/image/image.h"

#include <string.h>

#define BANDS_MAX 5   /* CMYK and alpha */
#define TAGS_MAX 256  /* of a page of a TIFF: libtiff compares each with each */
#define PIXEL_BYTES 4 /* of a picture in memory, by which max_megapixels is chosen */

struct loader {
    const char *name, *media_type;
    const char *title; /* in messages */
    int (*load)(void *bytes, size_t size, VipsImage **out, ...);
    const char *shrink_option;   /* how the decoder is told to shrink; NULL: it cannot */
    bool shrinks_by_scale;       /* the option takes 0.5, not 2 */
    bool has_pages, is_animated; /* pages that the loader can choose; they are frames */
};

static const struct loader loaders[IMAGE_TYPE_COUNT] = {
    [IMAGE_JPEG] = {"jpeg", "image/jpeg", "JPEG", vips_jpegload_buffer, "shrink", false, false,
                    false},
    [IMAGE_PNG] = {"png", "image/png", "PNG", vips_pngload_buffer, NULL, false, false, false},
    [IMAGE_WEBP] = {"webp", "image/webp", "WebP", vips_webpload_buffer, "scale", true, true, true},
    [IMAGE_GIF] = {"gif", "image/gif", "GIF", vips_gifload_buffer, NULL, false, true, true},
    [IMAGE_TIFF] = {"tiff", "image/tiff", "TIFF", vips_tiffload_buffer, NULL, false, true, false},
    [IMAGE_AVIF] = {"avif", "image/avif", "AVIF", vips_heifload_buffer, NULL, false, true, false},
    [IMAGE_HEIC] = {"heic", "image/heic", "HEIC", vips_heifload_buffer, NULL, false, true, false},
};

static const struct signature {
    enum image_type type;
    size_t offset, size;
    const char *bytes;
} signatures[] = {
    {IMAGE_JPEG, 0, 3, "\xff\xd8\xff"}, {IMAGE_PNG, 0, 8, "\x89PNG\r\n\x1a\n"},
    {IMAGE_WEBP, 8, 4, "WEBP"},         {IMAGE_GIF, 0, 6, "GIF87a"},
    {IMAGE_GIF, 0, 6, "GIF89a"},        {IMAGE_TIFF, 0, 4, "II*\0"},
    {IMAGE_TIFF, 0, 4, "MM\0*"},        {IMAGE_TIFF, 0, 4, "II+\0"},
    {IMAGE_TIFF, 0, 4, "MM\0+"},
};

const char *image_type_name(enum image_type type)
{
    return loaders[type].name;
}

const char *image_type_media_type(enum image_type type)
{
    return loaders[type].media_type;
}

enum image_type image_type_find(const char *name)
{
    int type = 0;
    while (type < IMAGE_TYPE_COUNT && strcmp(loaders[type].name, name) != 0)
        type++;
    return (enum image_type)type;
}

static enum image_type sniff(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < G_N_ELEMENTS(signatures); i++) {
        const struct signature *s = &signatures[i];
        if (size < s->offset + s->size || memcmp(bytes + s->offset, s->bytes, s->size) != 0)
            continue;
        if (s->type == IMAGE_WEBP && memcmp(bytes, "RIFF", 4) != 0)
            continue;
        return s->type;
    }
    return heif_sniff(bytes, size);
}

static int find_type(struct picture *p, struct error *reterr)
{
    const struct run_input *in = p->input;
    const char *declared = in->media_type;

    if (in->size == 0)
        return error_set(reterr, ERR_INVALID_INPUT, "The input %s is empty.", in->name);
    p->type = sniff(in->bytes, in->size);
    if (p->type == IMAGE_TYPE_COUNT)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s is not a picture this task reads: JPEG, PNG, WebP, GIF, "
                         "TIFF, AVIF, HEIC.",
                         in->name);
    if (*declared != '\0' && strcmp(declared, "application/octet-stream") != 0 &&
        g_ascii_strcasecmp(declared, loaders[p->type].media_type) != 0)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s is declared %.60s, but the content is %s.", in->name,
                         declared, loaders[p->type].media_type);
    if ((p->type == IMAGE_AVIF || p->type == IMAGE_HEIC) && !heif_is_available())
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s is %s, which this server was installed without.", in->name,
                         loaders[p->type].title);
    return 0;
}

int picture_failed(const struct picture *p, struct error *reterr)
{
    const char *words = vips_error_buffer();

    if (p->is_stopped)
        return error_set(reterr, ERR_STOPPED, "The run was stopped.");
    if (p->write_error.code != ERR_NONE) {
        *reterr = p->write_error;
        return -1;
    }
    if (strstr(words, "out of memory") != NULL) {
        error_set(reterr, ERR_INTERNAL, "The picture needs more memory than the run may use.");
        return error_cause(reterr, "%s", words);
    }
    error_set(reterr, ERR_INVALID_INPUT, "The input %s is not a complete, valid %s.",
              p->input->name, loaders[p->type].title);
    return error_cause(reterr, "%s", words);
}

int picture_step(struct picture *p, int failed, VipsImage **next, struct error *reterr)
{
    if (failed != 0)
        return picture_failed(p, reterr);
    if (p->image != NULL)
        g_object_unref(p->image); /* the new one holds what it needs of it */
    p->image = *next;
    return 0;
}

/* vips_image_generate() callback: hand the input's pixels through, unless the run has to stop. */
static int pass_through(VipsRegion *out, void *seq, void *image, void *picture, gboolean *stop)
{
    struct picture *p = picture;
    VipsRegion *in = seq;
    VipsRect *r = &out->valid;
    (void)stop;

    double fraction = p->part_start + p->part_size * r->top / ((VipsImage *)image)->Ysize;
    p->done = VIPS_MAX(p->done, fraction); /* no step back when pixels come through a second time */
    if (p->is_stopped || !run_progress(p->run, p->done, NULL)) {
        p->is_stopped = true;
        return -1;
    }
    return vips_region_prepare(in, r) != 0 ? -1 : vips_region_region(out, in, r, r->left, r->top);
}

void picture_begin_part(struct picture *p, double start, double size)
{
    p->part_start = start;
    p->part_size = size;
}

int picture_watch(struct picture *p, struct error *reterr)
{
    VipsImage *next = vips_image_new();
    int failed =
        vips_image_pipelinev(next, VIPS_DEMAND_STYLE_FATSTRIP, p->image, NULL) != 0 ||
        vips_image_generate(next, vips_start_one, pass_through, vips_stop_one, p->image, p) != 0;

    if (!failed) /* it reads from the image until it ends itself */
        vips_object_local(next, g_object_ref(p->image));
    else
        g_clear_object(&next);
    return picture_step(p, failed, &next, reterr);
}

/* Pixels that stream through may be of any depth; those that are kept count by their bytes. */
static int check_memory(const struct picture *p, struct error *reterr)
{
    double limit = run_limit(p->run, "max_megapixels") * PIXEL_BYTES;
    struct size size = {p->image->Xsize, p->image->Ysize};
    double megabytes = memory_of_pixels(size, 1, image_pixel_bytes(p->image));

    if (megabytes <= limit)
        return 0;
    return error_set(reterr, ERR_INVALID_INPUT,
                     "These steps need %dx%d pixels in memory, %.0f MB; the limit max_megapixels "
                     "makes that %.0f MB, at %d bytes a pixel.",
                     p->image->Xsize, p->image->Ysize, megabytes, limit, PIXEL_BYTES);
}

int picture_to_memory(struct picture *p, struct error *reterr)
{
    if (check_memory(p, reterr) != 0)
        return -1;
    VipsImage *next = vips_image_copy_memory(p->image); /* a reference, where it is there already */
    return picture_step(p, next == NULL ? -1 : 0, &next, reterr);
}

VipsPel *image_pixel(const VipsImage *image, int x, int y)
{
    size_t pixel = (size_t)vips_format_sizeof(image->BandFmt) * (size_t)image->Bands;
    return image->data + pixel * ((size_t)y * (size_t)image->Xsize + (size_t)x);
}

/* Sequential: pixels stream through in one pass, and only a few rows are in memory at a time. */
static int load(struct picture *p, int factor, struct error *reterr)
{
    const struct loader *l = &loaders[p->type];
    void *bytes = (void *)p->input->bytes; /* libvips only reads it */
    size_t size = p->input->size;
    bool is_default = p->page == 0 && p->frames == 1;
    const char *page = l->has_pages && !is_default ? "page" : NULL; /* NULL ends the options */
    VipsImage *image = NULL;
    int failed;

    if (l->shrink_option == NULL)
        failed = l->load(bytes, size, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                         VIPS_FAIL_ON_ERROR, page, p->page, "n", p->frames, NULL);
    else if (l->shrinks_by_scale)
        failed = l->load(bytes, size, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                         VIPS_FAIL_ON_ERROR, l->shrink_option, 1.0 / factor, page, p->page, "n",
                         p->frames, NULL);
    else
        failed = l->load(bytes, size, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                         VIPS_FAIL_ON_ERROR, l->shrink_option, factor, NULL);
    return picture_step(p, failed, &image, reterr) != 0 ? -1 : picture_watch(p, reterr);
}

static void read_header(struct picture *p)
{
    p->width = p->image->Xsize;
    p->height = p->image->Ysize / p->frames;
    p->orientation = vips_image_get_orientation(p->image);
    p->has_alpha = vips_image_hasalpha(p->image);
    /* vips_image_get_n_pages() calls ten thousand pages one. */
    if (vips_image_get_typeof(p->image, VIPS_META_N_PAGES) == 0 ||
        vips_image_get_int(p->image, VIPS_META_N_PAGES, &p->pages) != 0 || p->pages < 1)
        p->pages = 1;
}

/* Before a loader counts: that takes libwebp and libtiff the square of the number. */
static int check_pages(const struct picture *p, struct error *reterr)
{
    const struct run_input *in = p->input;
    double limit = run_limit(p->run, "max_pages");
    int pages = 1, tags = 0;

    if (p->type == IMAGE_WEBP)
        pages = webp_count_frames(in->bytes, in->size);
    else if (p->type == IMAGE_TIFF)
        pages = tiff_count_pages(in->bytes, in->size, &tags);
    if (pages > limit)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s has %d pages or frames; the limit max_pages is %g.",
                         in->name, pages, limit);
    if (tags > TAGS_MAX)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s has a page with %d tags; the limit is %d.", in->name, tags,
                         TAGS_MAX);
    return 0;
}

int picture_open(struct picture *p, struct run *run, const char *name, struct error *reterr)
{
    *p =
        (struct picture){.run = run, .input = run_input(run, name, 0), .frames = 1, .part_size = 1};
    vips_error_clear();
    if (p->input == NULL)
        return error_set(reterr, ERR_INVALID_PARAMS, "The input %s is missing.", name);
    if (find_type(p, reterr) != 0 || check_pages(p, reterr) != 0 || load(p, 1, reterr) != 0)
        return -1;
    read_header(p);
    return 0;
}

int picture_choose_page(struct picture *p, int page, struct error *reterr)
{
    if (page > (loaders[p->type].has_pages ? p->pages : 1))
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "There is no page %d: the input %s has %d of them.", page, p->input->name,
                         p->pages);
    p->page = page - 1;
    if (p->page == 0)
        return 0;
    if (load(p, 1, reterr) != 0)
        return -1;
    read_header(p);
    return 0;
}

bool picture_is_animated(const struct picture *p)
{
    return loaders[p->type].is_animated && p->pages > 1;
}

/* Checked first: a loader reads something of every frame. */
int picture_choose_all(struct picture *p, struct error *reterr)
{
    p->frames = p->pages;
    if (p->type == IMAGE_GIF && !gif_is_complete(p->input->bytes, p->input->size))
        return picture_failed(p, reterr);
    if (picture_check(p, reterr) != 0 || load(p, 1, reterr) != 0)
        return -1;
    read_header(p);
    return 0;
}

void picture_release(struct picture *p)
{
    if (p->image != NULL)
        g_object_unref(p->image);
    p->image = NULL;
    vips_error_clear();
}

int picture_check(const struct picture *p, struct error *reterr)
{
    double limit = run_limit(p->run, "max_megapixels"),
           max_frames = run_limit(p->run, "max_frames");
    /* Frames are drawn over those before them. */
    int frames = p->frames + (loaders[p->type].is_animated ? p->page : 0);
    double megapixels = (double)p->width * p->height * frames / 1e6;

    if (frames > max_frames)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s has %d frames to decode; the limit max_frames is %g.",
                         p->input->name, frames, max_frames);
    if (megapixels > limit)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s has %.1f megapixels (%dx%d, frames: %d); the limit "
                         "max_megapixels is %g.",
                         p->input->name, megapixels, p->width, p->height, frames, limit);
    if (p->image->Bands > BANDS_MAX)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s has %d channels; the limit is %d.", p->input->name,
                         p->image->Bands, BANDS_MAX);
    if (vips_band_format_iscomplex(p->image->BandFmt))
        return error_set(reterr, ERR_INVALID_INPUT, "The input %s has complex numbers for pixels.",
                         p->input->name);
    return memory_check_decoder(p, memory_of_decoder(p), reterr);
}

/* libvips drops the last, incomplete column and row of a shrunk picture. */
static bool shrink_side(int side, int factor, int *start, int *length)
{
    bool reaches_end = *start + *length == side;
    if (*start % factor != 0 || (!reaches_end && *length % factor != 0))
        return false;
    *start /= factor;
    *length = reaches_end ? side / factor - *start : *length / factor;
    return true;
}

static bool shrink_rect(const struct picture *p, int factor, VipsRect *r)
{
    return shrink_side(p->width, factor, &r->left, &r->width) &&
           shrink_side(p->height, factor, &r->top, &r->height);
}

int picture_shrink_factor(const struct picture *p, const VipsRect *crop, int width, int height)
{
    bool can_shrink = loaders[p->type].shrink_option != NULL && p->frames == 1;

    for (int factor = 8; factor > 1 && can_shrink; factor /= 2) {
        VipsRect r = *crop;
        if (shrink_rect(p, factor, &r) && r.width >= width && r.height >= height)
            return factor;
    }
    return 1;
}

int picture_reopen(struct picture *p, int factor, VipsRect *crop, struct error *reterr)
{
    VipsRect whole = *crop;

    if (load(p, factor, reterr) != 0)
        return -1;
    shrink_rect(p, factor, crop);
    if (!loaders[p->type].shrinks_by_scale) {
        p->missing_x = (double)whole.width / factor - crop->width;
        p->missing_y = (double)whole.height / factor - crop->height;
    }
    return 0;
}
