/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transform.h - what the files of the task image.transform share
 *
 * A run goes through four stages: parameters (params.c), a plan made of them and of the file's
 * header (plan.c), one decode, and then for every output, and every frame of it, the same steps
 * (steps.c). transform.c leads through them. With one output of one frame nothing is computed
 * before the encoder asks; with more, what they share is decoded once and kept in memory.
 */
#ifndef IMAGE_TRANSFORM_H
#define IMAGE_TRANSFORM_H

#include "tasks/image/image.h"

#define VARIANTS_MAX 16

struct cJSON;

/* What is put over all results, a picture or a text. */
struct watermark {
    const char *text; /* of the params; NULL: none */
    const char *font;
    double size_px;
    struct colour colour;
    struct gravity gravity;
    int x, y;              /* pixels from the sides of gravity; between the marks, repeated */
    double scale, opacity; /* scale: of the result's sides; 0: as large as it is */
    bool is_repeated;

    bool is_picture;
    struct picture mark; /* the input `watermark` */
    VipsImage *overlay;  /* drawn for a result of the size `canvas` */
    struct size canvas;
};

/* What may differ from output to output. */
struct variant {
    struct fit_request fit;
    double dpr;               /* pixels of the result for one of width and height */
    struct save_request save; /* its type is IMAGE_TYPE_COUNT when none was asked for */
    struct colour background;
    struct gravity gravity;
};

/* The parameters, as image.transform.json explains them. */
struct transform {
    int page; /* from 1; 0: not given */
    bool autorotate;
    bool is_trimmed;
    struct trim trim;
    bool is_cropped, is_placed; /* placed: at the crop's left and top; else by gravity */
    VipsRect crop;              /* in what trim left of the upright picture */
    struct gravity crop_gravity;
    double aspect_ratio; /* of what crop leaves; 0: as it is */
    bool keeps_copyright;
    struct turn turn; /* rotate, then flip */
    struct effects effects;
    struct extend extend;
    struct watermark watermark;

    bool is_many;                          /* there was a list of variants */
    struct variant variants[VARIANTS_MAX]; /* one when there was none */
    int variant_count;
};

/* Where everything goes: settled before a pixel is decoded, but for what the pixels decide. */
struct plan {
    VipsRect crop;    /* in the file's own pixels */
    struct turn turn; /* from there to the results */
    struct target {
        enum image_type type;
        struct layout layout;
        struct size whole;       /* with what extend puts around it */
        struct size resized_raw; /* layout.resized before the turn */
        VipsRect part;           /* of layout.resized, as large as a smaller canvas; found in the
                                  * first frame, its width is 0 until then */
        int frames;
    } targets[VARIANTS_MAX]; /* of the variants, in their order */
};

/* params.c */
void transform_parse(const struct cJSON *params, struct transform *ret_transform);

/* plan.c */

/* The format that the variant will be written in. */
enum image_type variant_type(const struct variant *v, const struct picture *p);

/* Does one of the results keep the frames of the animation that the picture is? */
bool transform_is_animated(const struct transform *t, const struct picture *p);

/* Do the pixels decide what is cropped? They are all decoded then, once, and stay in memory. */
bool transform_is_searching(const struct transform *t);

/* Errors: ERR_INVALID_PARAMS, for what lies outside of the picture, or gets too large. */
int plan_make(const struct transform *t, struct picture *p, struct plan *ret_plan,
              struct error *reterr);

/* limits.c: what all results cost together. Errors: ERR_INVALID_PARAMS. */
int limits_check(const struct transform *t, const struct picture *p, const struct plan *plan,
                 struct error *reterr);

/* steps.c */

/* Resized, without a change when it has that size. */
int step_resize(struct picture *p, struct size size, struct error *reterr);

/* Make the picture's image the rectangle `r` of it. */
int step_cut(struct picture *p, const VipsRect *r, struct error *reterr);

/* From what crop left to the i-th result, all but metadata; `p` is one frame. */
int steps_apply(struct picture *p, struct transform *t, struct plan *plan, int i,
                struct error *reterr);

/* watermark.c */
void watermark_parse(const struct cJSON *params, struct watermark *w);

/* Read the picture, if there is one. Errors: ERR_INVALID_INPUT, ERR_INVALID_PARAMS. */
int watermark_open(struct watermark *w, struct run *run, struct error *reterr);
void watermark_release(struct watermark *w);
bool watermark_is_asked(const struct watermark *w);

/* Put it over the picture, which is 8-bit sRGB or grey. */
int watermark_apply(struct picture *p, struct watermark *w, struct error *reterr);

#endif
