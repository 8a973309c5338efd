/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tesseract called plainly, warm from run to run.
 *
 *     ocr text FILE
 */
#include <leptonica/allheaders.h>
#include <stdlib.h>
#include <tesseract/capi.h>

#include "loop.h"

static TessBaseAPI *engine;

static void text(char *const *words)
{
    const struct loop_file *file = loop_file(words[0]);
    PIX *pix = pixReadMem(file->bytes, file->size);

    if (pix == NULL)
        loop_fail("no picture: %s", words[0]);
    TessBaseAPISetImage2(engine, pix);
    char *found = TessBaseAPIGetUTF8Text(engine);
    if (found == NULL)
        loop_fail("no text: %s", words[0]);
    TessDeleteText(found);
    TessBaseAPIClear(engine);
    pixDestroy(&pix);
}

void loop_init(char *const *words)
{
    (void)words;
    engine = TessBaseAPICreate();
    if (TessBaseAPIInit3(engine, NULL, "eng") != 0)
        loop_fail("Tesseract does not start");
}

const struct loop_case loop_cases[] = {{"text", text}, {NULL, NULL}};
