/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * problem_pages.c - writes the pages that a problem's `type` leads to
 *
 * Run by make, with the folder to write to. The pages come from the table that the server answers
 * from, so they cannot disagree with it. The table's texts are ours: nothing needs escaping but
 * what html() knows.
 */
#include "http/problem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char head[] =
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>%s - Gangsaw</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n"
    "</head>\n<body>\n<main>\n";
static const char foot[] = "</main>\n</body>\n</html>\n";

static FILE *page_open(const char *folder, const char *name, const char *title)
{
    char path[4096];
    int length = snprintf(path, sizeof(path), "%s/%s.html", folder, name);
    if (length < 0 || (size_t)length >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    FILE *page = fopen(path, "we");
    if (page)
        fprintf(page, head, title);
    return page;
}

static int page_close(FILE *page)
{
    fputs(foot, page);
    int failed = ferror(page);
    return fclose(page) == 0 && !failed ? 0 : -1;
}

static void html(FILE *page, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '<')
            fputs("&lt;", page);
        else if (*c == '&')
            fputs("&amp;", page);
        else
            fputc(*c, page);
    }
}

static int write_problem(const char *folder, const struct problem *problem)
{
    const char *name = error_name(problem->code);
    FILE *page = page_open(folder, name, problem->title);
    if (!page)
        return -1;
    fprintf(page, "<p><a href=\"/problems/\">Problems</a></p>\n<h1>%s</h1>\n", problem->title);
    fprintf(page, "<p><code>%s</code>, status %d</p>\n<p>", name, problem->status);
    html(page, problem->description);
    fputs("</p>\n", page);
    return page_close(page);
}

static int write_index(const char *folder)
{
    FILE *page = page_open(folder, "index", "Problems");
    if (!page)
        return -1;
    fputs("<p><a href=\"/\">Gangsaw</a></p>\n<h1>Problems</h1>\n"
          "<p>Every error is answered as <code>application/problem+json</code> (RFC 9457). These "
          "are the types, with their statuses.</p>\n<table>\n",
          page);
    for (const struct problem *p = problem_table(); p->code != ERR_NONE; p++) {
        const char *name = error_name(p->code);
        fprintf(page, "<tr><td>%d</td><td><a href=\"/problems/%s\">%s</a></td><td>%s</td></tr>\n",
                p->status, name, name, p->title);
    }
    fputs("</table>\n", page);
    return page_close(page);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: problem-pages FOLDER\n", stderr);
        return 2;
    }
    int failed = write_index(argv[1]);
    for (const struct problem *p = problem_table(); p->code != ERR_NONE && !failed; p++)
        failed = write_problem(argv[1], p);
    if (failed)
        fprintf(stderr, "problem-pages: %s: %s\n", argv[1], strerror(errno));
    return failed ? 1 : 0;
}
