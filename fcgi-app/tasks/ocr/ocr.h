/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ocr.h - what the files of the module `ocr` share
 *
 * A run opens a document (source.c: a picture, a TIFF of many, a PDF), takes one page after the
 * other out of it as pixels, prepares it (prepare.c), lets an engine that stays warm between runs
 * (engine.c) read it, and writes what was read into every output that was asked for (outputs.c)
 * and into the result (result.c).
 *
 * Documents come from strangers: only the readers of source.c's table ever see their bytes, and
 * sizes are checked before decoding.
 */
#ifndef OCR_OCR_H
#define OCR_OCR_H

#include <stdint.h>
#include <stdio.h>

#include <leptonica/allheaders.h>
#include <tesseract/capi.h>

#include "tasks/pdf/document.h"
#include "tasks/pdf/selection.h"
#include "tasks/task.h"

#define SIDE_MAX 32767 /* pixels along either side; Tesseract keeps coordinates in 16 bits */

int ocr_recognize(struct run *run, struct error *reterr);

/* options.c */

enum binarise { BINARISE_NONE, BINARISE_OTSU, BINARISE_SAUVOLA };

/* To add one: a value here, its row in options.c, a row in outputs.c's table. */
enum format { FORMAT_TEXT, FORMAT_TSV, FORMAT_HOCR, FORMAT_ALTO, FORMAT_PDF, FORMAT_COUNT };

struct options {
    char *languages; /* as Tesseract has them, "eng+deu"; all are installed */
    const char *select, *password, *whitelist;
    TessPageSegMode segmentation;
    enum binarise binarise;
    int dpi; /* 0: not given */
    bool keeps_spaces, orients, deskews, despeckles, scales;
    bool wants_words, wants[FORMAT_COUNT];
};

/* Read the run's parameters. Release them with options_release(), after a failure too. */
int options_read(struct options *o, const struct run *run, struct error *reterr);
void options_release(struct options *o);

/* engine.c */

/* Find the folder of Tesseract's data and the languages in it. */
int engine_init(struct error *reterr);
const char *engine_data_dir(void);

/* Is this language installed? */
bool engine_has(const char *language);
/* Those that are, "deu, eng, fra"; static. */
const char *engine_languages(void);

/*
 * An engine for `languages`, warm when one of the last runs had the same. It is lent until the
 * next call for other languages; nothing of earlier runs is left in it.
 * Errors: ERR_INTERNAL.
 */
int engine_get(const char *languages, TessBaseAPI **ret_engine, struct error *reterr);

/* The one that knows how pages lie; NULL when its data are not installed. */
int engine_get_orientation(TessBaseAPI **ret_engine, struct error *reterr);

/* Give all engines back but the one that was used last. */
void engine_trim(void);

/* source.c */

enum source_type { SOURCE_PNG, SOURCE_JPEG, SOURCE_WEBP, SOURCE_TIFF, SOURCE_PDF, SOURCE_COUNT };

/* A page of a TIFF, as its directory says. */
struct tiff_page {
    uint64_t offset; /* of the directory; 0: cannot be read */
    uint32_t width, height;
};

/* The document on its way through a run. */
struct source {
    struct run *run;
    const struct run_input *input;
    enum source_type type;
    int pages, dpi;
    int width, height;        /* of PNG, JPEG, WebP */
    struct tiff_page *tiff;   /* of TIFF, of GLib's heap */
    struct document document; /* of PDF */
};

/*
 * Open the run's input `document`: find out what it really is, and read what says how large its
 * pages are. Release it with source_release(), after a failure too.
 * Errors: ERR_INVALID_INPUT.
 */
int source_open(struct source *s, struct run *run, const struct options *o, struct error *reterr);
void source_release(struct source *s);

/* Are the selected pages within the limits for decoding? Errors: ERR_INVALID_INPUT. */
int source_check(struct source *s, const struct selection *pages, struct error *reterr);

/*
 * Decode page `number`: 1 bit, 8 bits of grey, or 32 of colour without transparency. Its
 * resolution is set where it is known. Errors: ERR_INVALID_INPUT: this page cannot be read.
 */
int source_read(struct source *s, int number, PIX **ret_pix, struct error *reterr);

/* exif.c */

/* How a JPEG's EXIF says that the camera was held, 1 to 8; 1, upright, when it says nothing. */
int exif_orientation(const struct run_input *in);

/* tiff.c */

/* List the pages of a TIFF; the list ends where the chain of directories is damaged. At most
 * `max` + 1 are listed. Returns how many, 0 when it is no TIFF. */
int tiff_list(const struct run_input *in, int max, struct tiff_page **ret_pages);

/* prepare.c */

/* A page, and how it came to be what is read. */
struct page {
    int number;                  /* in the document, from 1 */
    int width, height;           /* as it came */
    int dpi;                     /* as it came; 0 when nobody knows */
    int turned;                  /* degrees clockwise that it was turned by: 0, 90, 180, 270 */
    double skew;                 /* degrees clockwise that it was turned by after that */
    double scale;                /* and what its sides were then multiplied by */
    int read_width, read_height; /* all that done */
    PIX *image;                  /* the same as pixels: what a searchable PDF shows */
    PIX *ink;                    /* the same in black and white, when asked for; or NULL */
};

/* Takes `pix` over. Release it with page_drop_pixels(), after a failure too. */
int page_prepare(struct page *page, struct run *run, const struct options *o, int number, PIX *pix,
                 struct error *reterr);
void page_drop_pixels(struct page *page);

/* A box on the page as it was read becomes the least box around it on the page as it came. */
void page_map_back(const struct page *page, int *left, int *top, int *right, int *bottom);

/* outputs.c */

/* Where one format is written to. */
struct sink {
    struct run_output *out;
    struct error error; /* of run_write(), while Tesseract was writing */
};

struct outputs {
    TessResultRenderer *first; /* each is followed by the next; NULL when none was asked for */
    struct sink sinks[FORMAT_COUNT];
};

/* Begin those that were asked for. Release them with outputs_release(), after a failure too. */
int outputs_open(struct outputs *out, struct run *run, const struct options *o,
                 struct error *reterr);
/* Append the page that the engine has just read. */
int outputs_add(struct outputs *out, TessBaseAPI *engine, struct error *reterr);
int outputs_end(struct outputs *out, struct error *reterr);
void outputs_release(struct outputs *out);

/* result.c */

struct cJSON;

/* What the result says about the page that the engine has just read. */
struct cJSON *result_page(const struct page *page, TessBaseAPI *engine, bool has_words);

#endif
