/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A picture or a text over the results. The mark is read once a run, and drawn once a result: all
 * frames of an animation get the same.
 */
#include "tasks/image/transform.h"

#include <math.h>
#include <stdio.h>

#include <cjson/cJSON.h>

#define MEASURE_PX 100 /* the letters by which a text is measured that has to be fitted */
#define FITTED_PX_MAX 4000
#define TILE_MIN \
    256 /* smaller tiles are put together first: each one costs as much as a large one */

void watermark_parse(const cJSON *params, struct watermark *w)
{
    static const char *const fonts[] = {"sans", "serif", "monospace", NULL};
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(params, "watermark_options");
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(params, "watermark_text");

    *w = (struct watermark){
        .text = text != NULL ? param_text(text, "text") : NULL,
        .font = fonts[param_choice(text, "font", fonts, 0)],
        .size_px = param_number(text, "size", 24),
        .colour = {255, 255, 255, 255},
        .gravity = {GRAVITY_PLACE, 1, 1},
        .x = param_int(options, "x"),
        .y = param_int(options, "y"),
        .scale = param_number(options, "scale", 0),
        .opacity = param_number(options, "opacity", 1),
        .is_repeated = param_is_true(options, "repeat"),
    };
    if (*param_text(options, "gravity") != '\0')
        w->gravity = gravity_parse(options);
    (void)param_colour(text, "colour", &w->colour);
}

/* Pango takes a text for markup, and letters that mark nothing for an error. */
static char *as_markup(const char *text)
{
    char *plain = g_strdup(text);
    for (char *c = plain; *c != '\0'; c++)
        if (g_ascii_iscntrl(*c) && *c != '\n')
            *c = ' ';
    char *markup = g_markup_escape_text(plain, -1);
    g_free(plain);
    return markup;
}

/* The text as a mask, in lines of at most that width (0: as its own lines are). */
static VipsImage *draw_mask(const struct watermark *w, double size_px, int width)
{
    char *markup = as_markup(w->text), font[64];
    VipsImage *mask = NULL;
    int failed;

    /* At 72 dots an inch a point is a pixel. */
    snprintf(font, sizeof(font), "%s %d", w->font, (int)(size_px + 0.5));
    if (width > 0)
        failed = vips_text(&mask, markup, "font", font, "dpi", 72, "width", width, "wrap",
                           VIPS_TEXT_WRAP_WORD_CHAR, NULL);
    else
        failed = vips_text(&mask, markup, "font", font, "dpi", 72, NULL);
    g_free(markup);
    return failed == 0 ? mask : NULL;
}

/* How much larger a mark may get to fit into that part of the canvas. */
static double fit_factor(const VipsImage *mark, struct size canvas, double scale)
{
    double x = scale * canvas.width / mark->Xsize, y = scale * canvas.height / mark->Ysize;
    return VIPS_MIN(x, y);
}

/* A mask of the size that the text is to have on such a canvas. */
static VipsImage *fit_mask(const struct watermark *w, struct size canvas)
{
    if (w->scale <= 0)
        return draw_mask(w, w->size_px, canvas.width);
    VipsImage *measured = draw_mask(w, MEASURE_PX, 0);
    if (measured == NULL)
        return NULL;
    double size_px = MEASURE_PX * fit_factor(measured, canvas, w->scale);
    g_object_unref(measured);
    return draw_mask(w, VIPS_CLIP(1, floor(size_px), FITTED_PX_MAX), 0);
}

static int draw_text(const struct watermark *w, struct size canvas, VipsImage **ret_image,
                     struct error *reterr)
{
    const struct colour *c = &w->colour;
    double scale[4] = {0, 0, 0, c->alpha / 255 * w->opacity};
    double offset[4] = {c->red, c->green, c->blue, 0};
    VipsImage *mask = fit_mask(w, canvas), *coloured = NULL;
    int failed =
        mask == NULL || vips_linear(mask, &coloured, scale, offset, 4, "uchar", TRUE, NULL);

    if (!failed)
        failed = vips_copy(coloured, ret_image, "interpretation", VIPS_INTERPRETATION_sRGB, NULL);
    VIPS_UNREF(mask);
    VIPS_UNREF(coloured);
    if (!failed)
        return 0;
    error_set(reterr, ERR_INVALID_PARAMS,
              "The text of the watermark cannot be drawn: it is blank, or too large.");
    return error_cause(reterr, "%s", vips_error_buffer());
}

/* Red, green, blue and alpha, upright, in memory. */
static int prepare(struct picture *mark, const struct watermark *w, struct error *reterr)
{
    double scale[4] = {1, 1, 1, w->opacity}, offset[4] = {0};
    VipsImage *next = NULL;

    if (colour_to_srgb(mark, false, reterr) != 0 ||
        picture_step(mark, vips_colourspace(mark->image, &next, VIPS_INTERPRETATION_sRGB, NULL),
                     &next, reterr) != 0 ||
        (!vips_image_hasalpha(mark->image) &&
         picture_step(mark, vips_addalpha(mark->image, &next, NULL), &next, reterr) != 0) ||
        picture_step(mark, vips_linear(mark->image, &next, scale, offset, 4, "uchar", TRUE, NULL),
                     &next, reterr) != 0)
        return -1;
    if (picture_turn(mark, turn_from_exif(mark->orientation), reterr) != 0 ||
        picture_to_memory(mark, reterr) != 0 ||
        picture_step(mark, vips_copy(mark->image, &next, NULL), &next, reterr) != 0)
        return -1;
    vips_autorot_remove_angle(mark->image); /* or the result would have to be turned */
    return 0;
}

/* It stays in memory beside the picture that it is put over. */
static int check_mark(const struct picture *mark, struct error *reterr)
{
    double limit = run_limit(mark->run, "max_watermark_megapixels");
    double megapixels = (double)mark->width * mark->height / 1e6;

    if (megapixels > limit)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s has %.1f megapixels (%dx%d); the limit "
                         "max_watermark_megapixels is %g.",
                         mark->input->name, megapixels, mark->width, mark->height, limit);
    return picture_check(mark, reterr);
}

int watermark_open(struct watermark *w, struct run *run, struct error *reterr)
{
    double limit = run_limit(run, "max_megapixels");

    w->is_picture = run_input_count(run, "watermark") > 0;
    if (w->is_picture && w->text != NULL)
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "There is a watermark and a watermark_text: send one of them.");
    if (w->text != NULL &&
        (double)g_utf8_strlen(w->text, -1) * w->size_px * w->size_px / 1e6 > limit)
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "The text of the watermark would be too large at a size of %g pixels; the "
                         "limit max_megapixels is %g.",
                         w->size_px, limit);
    if (!w->is_picture)
        return 0;
    if (picture_open(&w->mark, run, "watermark", reterr) != 0 || check_mark(&w->mark, reterr) != 0)
        return -1;
    picture_begin_part(&w->mark, 0, 0);
    return prepare(&w->mark, w, reterr);
}

void watermark_release(struct watermark *w)
{
    VIPS_UNREF(w->overlay);
    if (w->is_picture)
        picture_release(&w->mark);
}

bool watermark_is_asked(const struct watermark *w)
{
    return w->is_picture || w->text != NULL;
}

/* The mark as large as it has to be on such a canvas. Without a scale it shrinks, but never grows.
 */
static int draw_picture(struct watermark *w, struct size canvas, VipsImage **ret_image,
                        struct error *reterr)
{
    struct picture m = w->mark;
    double factor = fit_factor(m.image, canvas, w->scale > 0 ? w->scale : 1);
    if (w->scale <= 0)
        factor = VIPS_MIN(factor, 1);
    struct size size = {(int)VIPS_MAX(1, m.image->Xsize * factor + 0.5),
                        (int)VIPS_MAX(1, m.image->Ysize * factor + 0.5)};

    g_object_ref(m.image);
    if (step_resize(&m, size, reterr) != 0 || picture_to_memory(&m, reterr) != 0) {
        g_object_unref(m.image);
        return -1;
    }
    *ret_image = m.image;
    return 0;
}

/* The mark with half of the gaps before it; they may leave nothing of it in the tile. */
static int make_tile(VipsImage *mark, const struct watermark *w, int width, int height,
                     VipsImage **ret_tile)
{
    VipsImage *black = NULL;

    if (w->x / 2 < width && w->y / 2 < height)
        return vips_embed(mark, ret_tile, w->x / 2, w->y / 2, width, height, NULL);
    int failed = vips_black(&black, width, height, "bands", mark->Bands, NULL) ||
                 vips_copy(black, ret_tile, "interpretation", mark->Type, NULL);
    VIPS_UNREF(black);
    return failed;
}

/* A canvas full of them, x and y pixels apart. */
static VipsImage *repeat(VipsImage *mark, const struct watermark *w, struct size canvas)
{
    VipsImage *t[4] = {NULL};
    /* Of a tile larger than the canvas the rest would not be seen. */
    int width = VIPS_MIN(mark->Xsize + w->x, canvas.width);
    int height = VIPS_MIN(mark->Ysize + w->y, canvas.height);
    int across = (TILE_MIN + width - 1) / width, down = (TILE_MIN + height - 1) / height;
    int failed = make_tile(mark, w, width, height, &t[0]) ||
                 vips_replicate(t[0], &t[1], across, down, NULL) ||
                 (t[2] = vips_image_copy_memory(t[1])) == NULL ||
                 vips_replicate(t[2], &t[3], canvas.width / t[2]->Xsize + 1,
                                canvas.height / t[2]->Ysize + 1, NULL);
    VipsImage *tiles = NULL;

    if (!failed)
        failed = vips_extract_area(t[3], &tiles, 0, 0, canvas.width, canvas.height, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(t); i++)
        VIPS_UNREF(t[i]);
    return failed ? NULL : tiles;
}

/* The overlay for such a canvas: drawn for the first frame, kept for the others. */
static int draw(struct watermark *w, struct size canvas, struct error *reterr)
{
    VipsImage *mark = NULL;

    if (w->overlay != NULL && w->canvas.width == canvas.width && w->canvas.height == canvas.height)
        return 0;
    VIPS_UNREF(w->overlay);
    if ((w->is_picture ? draw_picture(w, canvas, &mark, reterr)
                       : draw_text(w, canvas, &mark, reterr)) != 0)
        return -1;
    w->canvas = canvas;
    w->overlay = w->is_repeated ? repeat(mark, w, canvas) : g_object_ref(mark);
    g_object_unref(mark);
    if (w->overlay != NULL)
        return 0;
    error_set(reterr, ERR_INTERNAL, "The watermark could not be repeated.");
    return error_cause(reterr, "%s", vips_error_buffer());
}

int watermark_apply(struct picture *p, struct watermark *w, struct error *reterr)
{
    struct size canvas = {p->image->Xsize, p->image->Ysize};
    bool has_alpha = vips_image_hasalpha(p->image);
    VipsImage *next = NULL;
    VipsRect r = {0, 0, 0, 0};

    if (draw(w, canvas, reterr) != 0)
        return -1;
    if (!w->is_repeated) {
        r = gravity_place(&w->gravity, canvas, (struct size){w->overlay->Xsize, w->overlay->Ysize});
        r.left += w->gravity.x > 0.5 ? -w->x : w->x;
        r.top += w->gravity.y > 0.5 ? -w->y : w->y;
    }
    if (picture_step(p, vips_colourspace(p->image, &next, VIPS_INTERPRETATION_sRGB, NULL), &next,
                     reterr) != 0 ||
        picture_step(p,
                     vips_composite2(p->image, w->overlay, &next, VIPS_BLEND_MODE_OVER, "x", r.left,
                                     "y", r.top, NULL),
                     &next, reterr) != 0)
        return -1;
    if (!has_alpha &&
        picture_step(p, vips_extract_band(p->image, &next, 0, "n", 3, NULL), &next, reterr) != 0)
        return -1;
    return picture_step(p, vips_cast_uchar(p->image, &next, NULL), &next, reterr);
}
