/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AVIF and HEIC. libvips has them in a plug-in, which Debian ships with libvips; image.c keeps it
 * from loading all of its plug-ins at the start. This one is loaded when the first such picture
 * comes: 20 ms and 2 MB that no executor pays which sees none.
 */
#include "tasks/image/image.h"

#include <dlfcn.h>
#include <gmodule.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define BRANDS_MAX 64

/* It lies beside the library itself. */
static char *plugin_path(void)
{
    Dl_info info;
    char name[64];

    if (dladdr((const void *)(uintptr_t)vips_init, &info) == 0 || info.dli_fname == NULL)
        return NULL;
    char *folder = g_path_get_dirname(info.dli_fname);
    snprintf(name, sizeof(name), "vips-modules-%d.%d", vips_version(0), vips_version(1));
    char *path = g_build_filename(folder, name, "vips-heif.so", NULL);
    g_free(folder);
    return path;
}

bool heif_is_available(void)
{
    if (vips_type_find("VipsOperation", "heifsave_target") != 0)
        return true;
    char *path = plugin_path();
    GModule *module = path != NULL ? g_module_open(path, G_MODULE_BIND_LOCAL) : NULL;
    g_free(path);
    return module != NULL; /* it stays: types cannot be given back */
}

/* ISO/IEC 14496-12, section 4.3: size, "ftyp", the main brand, a version, further brands. */
enum image_type heif_sniff(const unsigned char *bytes, size_t size)
{
    static const struct {
        const char *brand;
        enum image_type type;
    } brands[] = {{"avif", IMAGE_AVIF}, {"heic", IMAGE_HEIC}, {"heix", IMAGE_HEIC}};

    if (size < 16 || memcmp(bytes + 4, "ftyp", 4) != 0)
        return IMAGE_TYPE_COUNT;
    size_t end = (size_t)bytes[2] << 8 | bytes[3];
    end = VIPS_MIN(VIPS_MIN(end, size), BRANDS_MAX * 4);
    for (size_t at = 8; at + 4 <= end; at += 4)
        for (size_t i = 0; i < G_N_ELEMENTS(brands) && at != 12; i++)
            if (memcmp(bytes + at, brands[i].brand, 4) == 0)
                return brands[i].type;
    return IMAGE_TYPE_COUNT;
}
