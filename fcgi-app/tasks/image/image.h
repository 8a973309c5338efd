/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.h - what the files of the module `image` share
 *
 * A run opens one picture, replaces its `image` step by step (libvips computes nothing until
 * picture_save() pulls the pixels through), and releases it. Pictures come from strangers: only
 * the loaders of load.c's table ever see their bytes, and sizes are checked before decoding.
 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>

#include <vips/vips.h>

#include "tasks/task.h"

struct cJSON;

#define IMAGE_SIDE_MAX 16384 /* pixels along either side of a result; WebP ends one earlier */

/* To add one: a value here, a row in load.c's table, a row in save.c's when it is written too. */
enum image_type {
    IMAGE_JPEG,
    IMAGE_PNG,
    IMAGE_WEBP,
    IMAGE_GIF,
    IMAGE_TIFF,
    IMAGE_AVIF,
    IMAGE_HEIC,
    IMAGE_TYPE_COUNT
};

/* One input on its way through a run. */
struct picture {
    struct run *run;
    const struct run_input *input;
    VipsImage *image; /* the pipeline so far; only picture_step() replaces it */
    enum image_type type;
    int width, height, pages, orientation; /* as the file has them: before any turn, EXIF 1 to 8 */
    bool has_alpha;
    int page;   /* the first one that is decoded, from 0 */
    int frames; /* how many are decoded: an animation's all, one below the other; else 1 */

    double missing_x, missing_y; /* of a pixel: what shrinking while decoding drops at the ends */

    bool is_stopped;              /* run_progress() said so */
    double done;                  /* the highest fraction reported */
    double part_start, part_size; /* of the run, as fractions: what is being computed */
    struct error write_error;     /* of run_write(), while libvips was writing */
};

/* load.c */

/*
 * Open the input `name`: find out what it really is, compare that with the declared media
 * type, and read its header. Release it with picture_release(), after a failure too.
 * Errors: ERR_INVALID_INPUT.
 */
int picture_open(struct picture *p, struct run *run, const char *name, struct error *reterr);
void picture_release(struct picture *p);

/* Decode that page (from 1) instead of the first. Errors: ERR_INVALID_PARAMS when there is none. */
int picture_choose_page(struct picture *p, int page, struct error *reterr);

/* Decode all frames of an animation, one below the other: `height` stays that of one. */
int picture_choose_all(struct picture *p, struct error *reterr);
bool picture_is_animated(const struct picture *p);

/* Is what is chosen within the limits? Errors: ERR_INVALID_INPUT; the detail names the limit. */
int picture_check(const struct picture *p, struct error *reterr);

/*
 * The largest factor by which the decoder itself can shrink the picture such that `crop` (in
 * raw pixels) keeps at least `width` x `height` pixels and still begins and ends on whole ones;
 * 1 when there is none.
 */
int picture_shrink_factor(const struct picture *p, const VipsRect *crop, int width, int height);

/* Open it again, shrunk by such a factor while it is decoded; crop becomes what it is then. */
int picture_reopen(struct picture *p, int factor, VipsRect *crop, struct error *reterr);

/*
 * Make *next the picture's image when `failed` is 0; it is picture_failed() otherwise:
 *     VipsImage *next = NULL;
 *     return picture_step(p, vips_flip(p->image, &next, direction, NULL), &next, reterr);
 */
int picture_step(struct picture *p, int failed, VipsImage **next, struct error *reterr);

/*
 * From here on, whoever computes pixels of this image reports progress and heeds the stop flag.
 * (libvips' own progress signal comes after whole strips of the result: for a thumbnail, once.)
 */
int picture_watch(struct picture *p, struct error *reterr);

/* What is computed from here on is that part of the run; all of it, when nobody says otherwise. */
void picture_begin_part(struct picture *p, double start, double size);

/* Compute it here and now, for whoever looks at pixels out of their order or more than once.
 * Errors: ERR_INVALID_INPUT also when it would have more bytes than max_megapixels of 8-bit RGBA.
 */
int picture_to_memory(struct picture *p, struct error *reterr);

/* Where in memory a pixel is, of an image that is there. */
VipsPel *image_pixel(const VipsImage *image, int x, int y);

/* Say why libvips failed: stopped, output refused, no memory, or (all else) the input's content. */
int picture_failed(const struct picture *p, struct error *reterr);

const char *image_type_name(enum image_type type);       /* "jpeg" */
const char *image_type_media_type(enum image_type type); /* "image/jpeg" */
enum image_type image_type_find(const char *name);       /* IMAGE_TYPE_COUNT: there is none */

/* gif.c: does the file go on to its end? One that is broken in another way may be called complete.
 */
bool gif_is_complete(const unsigned char *bytes, size_t size);

/* heif.c */

/* Load what reads and writes AVIF and HEIC, if that has not happened. False: it is not installed.
 */
bool heif_is_available(void);

/* AVIF or HEIC, by the brands that the file begins with; else IMAGE_TYPE_COUNT. */
enum image_type heif_sniff(const unsigned char *bytes, size_t size);

/* tiff.c: how many the file says it has, broken ones too, and the most tags that one of them has.
 * It is a TIFF by its first four bytes. */
int tiff_count_pages(const unsigned char *bytes, size_t size, int *ret_tags);

/* webp.c */

/* How many frames the file says it has, broken ones too; 0: it is no animation. */
int webp_count_frames(const unsigned char *bytes, size_t size);

/* A copy of the file without EXIF, XMP and colour profile, for g_free(). The file is one that
 * libvips wrote. */
void *webp_strip(const void *file, size_t size, size_t *ret_size);

/* reduce.c */

/* How many pixels the picture has that an image stands for; a part of the last may be missing
 * there. */
struct source_size {
    double width, height;
};

/* vips_resize() to exactly that size, quicker where bytes are made smaller. */
int image_resize(VipsImage *in, VipsImage **ret_out, const struct source_size *from, int width,
                 int height);

/* geometry.c: integers in, integers out; nothing here knows libvips' operations. */

struct size {
    int width, height;
};

/* One of the eight ways to lay a picture down: first mirrored left to right, then turned. */
struct turn {
    bool is_mirrored;
    int quarters; /* clockwise, 0 to 3 */
};

enum fit { FIT_INSIDE, FIT_COVER, FIT_CONTAIN, FIT_FILL };

struct fit_request {
    int width, height;         /* 0: not given, follows in proportion */
    int min_width, min_height; /* inside: grow beyond the box to have them; 0: no matter */
    enum fit fit;
    bool is_enlarging; /* or the picture never grows */
};

/* The picture is resized to `resized`; `canvas` then cuts its middle out, or surrounds it. */
struct layout {
    struct size resized, canvas;
};

struct turn turn_from_exif(int orientation); /* what shows such a file upright */
struct turn turn_then(struct turn first, struct turn second);
struct size turn_size(struct turn turn, struct size size);

/* Where rectangle `r` of the turned picture lies in the picture of size `raw` before the turn. */
VipsRect turn_rect_back(struct turn turn, struct size raw, VipsRect r);

/* Where such a rectangle lies after the turn. */
VipsRect turn_rect(struct turn turn, struct size raw, VipsRect r);

/* Sides that no picture can have come out as at most INT_MAX / 2. */
struct layout layout_for(struct size source, const struct fit_request *request);

/* colour.c */

/* A colour of the params: "#rrggbb" or "#rrggbbaa"; the schema has checked it. */
struct colour {
    double red, green, blue, alpha; /* 0 to 255 */
};

struct colour colour_parse(const char *hex);

/* One or two channels of light, whatever the numbers. */
bool colour_is_grey(const VipsImage *image);

/*
 * sRGB or grey, whatever the file had, by its profile or what its colour space implies: in 8 bits,
 * or in 16 when the picture has them and `keeps_depth`.
 */
int colour_to_srgb(struct picture *p, bool keeps_depth, struct error *reterr);

/* From sRGB to how light it is. */
int colour_to_grey(struct picture *p, struct error *reterr);

/* Can it be written as `type` with its profile, as it is? */
bool colour_is_writable(const struct picture *p, enum image_type type);

/* A grey picture becomes RGB when the colour it has to stand next to is none of its greys. */
int colour_make_room(struct picture *p, struct colour colour, struct error *reterr);

/* The colour as a pixel of `image`, which is sRGB or grey; alpha last. Release with
 * vips_area_unref(). */
VipsArrayDouble *colour_pixel(const VipsImage *image, struct colour colour, bool with_alpha);

/* Multiply colours by their transparency, for whatever mixes pixels, and back to `format`. */
int colour_premultiply(struct picture *p, struct error *reterr);
int colour_unpremultiply(struct picture *p, VipsBandFormat format, struct error *reterr);

/* To whole numbers of `format`, to the nearest: libvips' own cast cuts fractions off. */
int colour_round(struct picture *p, VipsBandFormat format, struct error *reterr);

/* `colour` behind what is transparent. */
int colour_flatten(struct picture *p, struct colour colour, struct error *reterr);

/*
 * The picture on a canvas of `colour`, whose transparency is kept if `with_alpha`. The canvas' left
 * and top are the picture's place on it.
 */
int colour_surround(struct picture *p, const VipsRect *canvas, struct colour colour,
                    bool with_alpha, struct error *reterr);

/* members.c: members of an object of the params (which may be NULL), as the schema lets them be. */

double param_number(const struct cJSON *params, const char *name, double otherwise);
int param_int(const struct cJSON *params, const char *name);          /* 0 when missing */
bool param_is_true(const struct cJSON *params, const char *name);     /* false when missing */
const char *param_text(const struct cJSON *params, const char *name); /* "" when missing */

/* Which of the choices (NULL ends them) it is. */
int param_choice(const struct cJSON *params, const char *name, const char *const *choices,
                 int otherwise);

/* False, and *ret_colour as it was, when it is missing. */
bool param_colour(const struct cJSON *params, const char *name, struct colour *ret_colour);

/* steps.c */

/* Lay the image down so. It is in memory afterwards where it had to be. */
int picture_turn(struct picture *p, struct turn turn, struct error *reterr);

/* gravity.c: which part stays when only its size is known */

struct gravity {
    enum gravity_kind { GRAVITY_PLACE, GRAVITY_FOCUS, GRAVITY_ENTROPY, GRAVITY_ATTENTION } kind;
    double x, y; /* PLACE: 0 is left (top), 1 right (bottom); FOCUS: fractions of the picture */
};

struct gravity gravity_parse(const struct cJSON *params);

/* Do the pixels decide? */
bool gravity_is_smart(const struct gravity *g);

/* Where in `outer` the part of size `inner` lies; of what the pixels decide, the middle. */
VipsRect gravity_place(const struct gravity *g, struct size outer, struct size inner);

/* A canvas for colour_surround(): the picture is in its middle, unless a side was asked for. */
VipsRect gravity_surround(const struct gravity *g, struct size canvas, struct size picture);

/*
 * Where within `part` the area of this size lies, which it contains; part, size and result are
 * those of the picture after `turn`. When the pixels decide, the picture is in memory afterwards.
 */
int gravity_find(struct picture *p, const struct gravity *g, struct turn turn, VipsRect part,
                 struct size size, VipsRect *ret_rect, struct error *reterr);

/* trim.c: a border of one colour */

struct trim {
    double threshold;    /* 0 to 255: a pixel of the border differs by no more in any channel */
    bool has_background; /* or the border has the colour of the first pixel */
    struct colour background;
    bool is_equal_horizontally, is_equal_vertically; /* as much from both sides */
};

/* False: it was not asked for. */
bool trim_parse(const struct cJSON *params, struct trim *ret_trim);

/*
 * Find what is left without the border, as it lies after the turn `upright`; all of it when there
 * is nothing but border. Of frames one below the other, each of the file's height, what is left of
 * one or another. The picture, which may not have been shrunk, is in memory afterwards.
 */
int trim_find(struct picture *p, const struct trim *trim, struct turn upright, VipsRect *ret_rect,
              struct error *reterr);

/* overlay.c: colours laid over the picture, for effects.c */

enum towards { TOWARDS_BOTTOM, TOWARDS_TOP, TOWARDS_RIGHT, TOWARDS_LEFT };

struct overlay {
    double colorize, gradient; /* opacity; 0: none */
    struct colour colorize_colour, gradient_colour;
    double start, stop; /* where the gradient is nothing and all, as fractions of the way */
    enum towards towards;
};

struct overlay overlay_parse(const struct cJSON *params);
int colorize_apply(struct picture *p, const struct overlay *o, struct error *reterr);
int gradient_apply(struct picture *p, const struct overlay *o, struct error *reterr);

/* effects.c: light, colours and sharpness; the order is that of its table */

struct effects {
    bool normalise, grayscale, negate, has_tint, has_duotone;
    double gamma, brightness, contrast, saturation; /* 1: as it is */
    double hue_deg;
    struct colour tint, shadow, highlight;
    struct overlay overlay;
    double blur, sharpen; /* sigma in pixels; 0: none */
    int pixelate;         /* pixels along a side; 0 and 1: none */
};

struct effects effects_parse(const struct cJSON *params);

/* Do they need a picture of sRGB or grey? */
bool effects_need_srgb(const struct effects *e);

/* Apply what was asked for. Transparency stays as it is, but is blurred with the rest. */
int effects_apply(struct picture *p, const struct effects *e, struct error *reterr);

/* spatial.c: what looks at a pixel's surroundings, for effects.c */

/* Of premultiplied channels, where there is transparency. */
int blur_apply(struct picture *p, double sigma, struct error *reterr);
int pixelate_apply(struct picture *p, int side, struct error *reterr);

/* Of channels as they are. */
int sharpen_apply(struct picture *p, double sigma, struct error *reterr);

/* extend.c: room around the finished picture */

enum extend_with { EXTEND_BACKGROUND, EXTEND_COPY, EXTEND_MIRROR, EXTEND_REPEAT };

struct extend {
    int left, top, right, bottom; /* pixels */
    enum extend_with with;
    bool has_background;
    struct colour background;
};

struct extend extend_parse(const struct cJSON *params);
struct size extend_size(const struct extend *e, struct size size);
bool extend_is_coloured(const struct extend *e); /* does the background show? */

/* `background` is taken where it has none of its own. */
int extend_apply(struct picture *p, const struct extend *e, struct colour background,
                 bool with_alpha, struct error *reterr);

/* save.c */

struct save_request {
    const char *output; /* of the descriptor */
    enum image_type type;
    int quality; /* 1 to 100; 0: what suits the format */
    bool is_stripped, is_lossless, is_progressive, has_palette;
    int colours;      /* of a palette; 0: as many as there can be */
    size_t max_bytes; /* lower the quality until it fits; 0: as large as it gets */
};

struct saved {
    size_t size;
    int quality; /* 0: it has none */
};

/* Is there an encoder for it? */
bool image_type_is_writable(enum image_type type);

/*
 * Compute and write the picture as an output of the run.
 * Errors: ERR_INVALID_INPUT when decoding finds the content broken, ERR_STOPPED, ERR_TOO_LARGE,
 * ERR_INVALID_PARAMS when no quality fits into max_bytes.
 */
int picture_save(struct picture *p, const struct save_request *request, struct saved *ret_saved,
                 struct error *reterr);

/* memory.c: megabytes that a run takes, told from headers */

double image_pixel_bytes(const VipsImage *image);
double memory_of_decoder(const struct picture *p); /* and of the file itself */
double memory_of_encoder(const struct save_request *r, struct size size, int bands, int depth);
double memory_of_pixels(struct size size, int frames, double pixel_bytes);

/*
 * Is there room for so much beside what the process has already?
 * Errors: ERR_INVALID_INPUT when decoding alone takes too much, ERR_INVALID_PARAMS when what is
 * asked for does. The detail names the limit.
 */
int memory_check_decoder(const struct picture *p, double megabytes, struct error *reterr);
int memory_check_result(const struct picture *p, struct size size, double megabytes,
                        struct error *reterr);

/* The tasks: transform.c, inspect.c, compare.c */
int image_transform(struct run *run, struct error *reterr);
int image_inspect(struct run *run, struct error *reterr);
int image_compare(struct run *run, struct error *reterr);

#endif
