/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where pixels go. Turns are elements of the dihedral group of the square, so that a file's EXIF
 * orientation, `rotate` and `flip` become one operation on the small result, and a crop rectangle
 * can be looked up in the file as it lies there.
 */
#include "tasks/image/image.h"

#include <limits.h>

struct turn turn_from_exif(int orientation)
{
    static const struct turn turns[] = {
        [1] = {false, 0}, [2] = {true, 0},  [3] = {false, 2}, [4] = {true, 2},
        [5] = {true, 3},  [6] = {false, 1}, [7] = {true, 1},  [8] = {false, 3},
    };
    return orientation >= 1 && orientation <= 8 ? turns[orientation] : turns[1];
}

/* A mirror after a quarter turn is a quarter turn the other way after the mirror. */
struct turn turn_then(struct turn first, struct turn second)
{
    int quarters = second.quarters + (second.is_mirrored ? 4 - first.quarters : first.quarters);
    return (struct turn){first.is_mirrored != second.is_mirrored, quarters % 4};
}

struct size turn_size(struct turn turn, struct size size)
{
    return turn.quarters % 2 == 0 ? size : (struct size){size.height, size.width};
}

VipsRect turn_rect_back(struct turn turn, struct size raw, VipsRect r)
{
    struct size size = turn_size(turn, raw);

    for (int i = 0; i < turn.quarters; i++) {
        r = (VipsRect){r.top, size.width - r.left - r.width, r.height, r.width};
        size = (struct size){size.height, size.width};
    }
    if (turn.is_mirrored)
        r.left = raw.width - r.left - r.width;
    return r;
}

VipsRect turn_rect(struct turn turn, struct size raw, VipsRect r)
{
    struct size size = raw;

    if (turn.is_mirrored)
        r.left = raw.width - r.left - r.width;
    for (int i = 0; i < turn.quarters; i++) {
        r = (VipsRect){size.height - r.top - r.height, r.left, r.height, r.width};
        size = (struct size){size.height, size.width};
    }
    return r;
}

static int side(double length)
{
    if (!(length >= 1))
        return 1;
    return length > INT_MAX / 2 ? INT_MAX / 2 : (int)(length + 0.5);
}

/* The largest rectangle of the box's proportions that the picture covers without growing. */
static struct size shrink_box(const struct fit_request *request, double factor)
{
    return (struct size){side(request->width / factor), side(request->height / factor)};
}

struct layout layout_for(struct size source, const struct fit_request *request)
{
    double x = (double)request->width / source.width;
    double y = (double)request->height / source.height;
    bool is_box = request->width > 0 && request->height > 0;

    if (request->width == 0 && request->height == 0)
        x = y = 1;
    else if (!is_box)
        x = y = VIPS_MAX(x, y); /* the one that was given */
    else if (request->fit == FIT_COVER)
        x = y = VIPS_MAX(x, y);
    else if (request->fit != FIT_FILL)
        x = y = VIPS_MIN(x, y);

    if (request->fit == FIT_INSIDE) {
        x = VIPS_MAX(x, (double)request->min_width / source.width);
        x = y = VIPS_MAX(x, (double)request->min_height / source.height);
    }
    double growth = VIPS_MAX(x, y);
    if (!request->is_enlarging) {
        x = VIPS_MIN(x, 1);
        y = VIPS_MIN(y, 1);
    }
    struct layout l = {.resized = {side(source.width * x), side(source.height * y)}};
    l.canvas = l.resized;
    if (is_box && request->fit == FIT_CONTAIN)
        l.canvas = (struct size){request->width, request->height};
    if (is_box && request->fit == FIT_COVER)
        l.canvas = growth > 1 && !request->is_enlarging
                       ? shrink_box(request, growth)
                       : (struct size){request->width, request->height};
    return l;
}
