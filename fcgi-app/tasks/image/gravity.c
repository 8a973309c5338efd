/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which part of a picture stays when only its size is known: a side, a point, or what an eye would
 * look at first.
 */
#include "tasks/image/image.h"

#include <cjson/cJSON.h>

/* In the order of enum gravity_kind's; the nine places of a compass come first. */
static const char *const names[] = {"northwest", "north",   "northeast", "west",
                                    "centre",    "east",    "southwest", "south",
                                    "southeast", "entropy", "attention", NULL};
enum { CENTRE = 4, PLACES = 9 };

struct gravity gravity_parse(const cJSON *params)
{
    const cJSON *focus = cJSON_GetObjectItemCaseSensitive(params, "focus");
    int place = param_choice(params, "gravity", names, CENTRE);

    if (focus != NULL)
        return (struct gravity){GRAVITY_FOCUS, param_number(focus, "x", 0.5),
                                param_number(focus, "y", 0.5)};
    if (place < PLACES)
        return (struct gravity){GRAVITY_PLACE, place % 3 / 2.0, place / 3 / 2.0};
    return (struct gravity){place == PLACES ? GRAVITY_ENTROPY : GRAVITY_ATTENTION, 0.5, 0.5};
}

bool gravity_is_smart(const struct gravity *g)
{
    return g->kind == GRAVITY_ENTROPY || g->kind == GRAVITY_ATTENTION;
}

static int centre_on(double fraction, int outer, int inner)
{
    double start = fraction * outer - inner / 2.0;
    return (int)VIPS_CLIP(0, start + 0.5, outer - inner);
}

VipsRect gravity_place(const struct gravity *g, struct size outer, struct size inner)
{
    VipsRect r = {(int)(g->x * (outer.width - inner.width)),
                  (int)(g->y * (outer.height - inner.height)), inner.width, inner.height};

    if (g->kind == GRAVITY_FOCUS) {
        r.left = centre_on(g->x, outer.width, inner.width);
        r.top = centre_on(g->y, outer.height, inner.height);
    }
    return r;
}

VipsRect gravity_surround(const struct gravity *g, struct size canvas, struct size picture)
{
    const struct gravity centre = {GRAVITY_PLACE, 0.5, 0.5};
    VipsRect r = gravity_place(g->kind == GRAVITY_PLACE ? g : &centre, canvas, picture);
    return (VipsRect){r.left, r.top, canvas.width, canvas.height};
}

/* Both measures look at pixels again and again. Of two places as good as each other they take one,
 * the same one in every orientation if they see the picture upright. */
static int find_smart(struct picture *p, const struct gravity *g, struct turn turn,
                      const VipsRect *part, struct size size, VipsRect *ret_rect,
                      struct error *reterr)
{
    VipsInteresting interesting =
        g->kind == GRAVITY_ENTROPY ? VIPS_INTERESTING_ENTROPY : VIPS_INTERESTING_ATTENTION;
    VipsImage *next = NULL, *found = NULL;

    if (picture_step(p,
                     vips_extract_area(p->image, &next, part->left, part->top, part->width,
                                       part->height, NULL),
                     &next, reterr) != 0 ||
        picture_turn(p, turn, reterr) != 0)
        return -1;
    /* It counts whole numbers, and mixes colours of RGB. */
    if (!colour_is_writable(p, IMAGE_PNG) && colour_to_srgb(p, false, reterr) != 0)
        return -1;
    if (picture_watch(p, reterr) != 0)
        return -1;
    if (vips_smartcrop(p->image, &found, size.width, size.height, "interesting", interesting,
                       NULL) != 0)
        return picture_failed(p, reterr);
    /* An area knows where it was taken from. */
    *ret_rect = (VipsRect){-found->Xoffset, -found->Yoffset, size.width, size.height};
    g_object_unref(found);
    return 0;
}

int gravity_find(struct picture *p, const struct gravity *g, struct turn turn, VipsRect part,
                 struct size size, VipsRect *ret_rect, struct error *reterr)
{
    struct size raw = {p->width, p->height}, whole = {part.width, part.height};

    if (!gravity_is_smart(g) || (size.width == whole.width && size.height == whole.height)) {
        *ret_rect = gravity_place(g, whole, size);
        return 0;
    }
    if (picture_to_memory(p, reterr) != 0)
        return -1;
    struct picture seen = *p;
    g_object_ref(seen.image);
    part = turn_rect_back(turn, raw, part);
    int failed = find_smart(&seen, g, turn, &part, size, ret_rect, reterr);
    p->is_stopped = seen.is_stopped;
    g_object_unref(seen.image);
    return failed;
}
