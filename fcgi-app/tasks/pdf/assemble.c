/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pdf.assemble: merge, split, select and turn pages, encrypt, decrypt, linearise, mend. All
 * documents are opened and all pages chosen before anything is written.
 */
#include "tasks/pdf/assemble.h"

#include <string.h>

#include <cjson/cJSON.h>
#include <glib.h>

#include "tasks/pdf/deep.h"
#include "tasks/pdf/leads.h"
#include "tasks/pdf/pdf.h"
#include "tasks/pdf/prune.h"
#include "tasks/pdf/resources.h"
#include "tasks/pdf/selection.h"

#define OUTPUTS_MAX 500  /* as the descriptor has it */
#define PASSWORD_MAX 127 /* bytes that AES-256 in PDF takes */

struct job {
    struct run *run;
    struct source *sources;
    int source_count;
    struct leaf *leaves;
    int leaf_count;
    int pages_max; /* of the results */
    int split;     /* pages of each output; 0: all in one */
    struct write_request write;
};

static const cJSON *param(const struct job *j, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(run_params(j->run), name);
}

static const char *text(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static int number(const cJSON *object, const char *name, int otherwise)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(value) ? value->valueint : otherwise;
}

/* What readers may do: all, or what is listed. */
static bool may(const cJSON *permissions, const char *what)
{
    const cJSON *each;
    cJSON_ArrayForEach(each, permissions)
    {
        if (strcmp(each->valuestring, what) == 0)
            return true;
    }
    return permissions == NULL;
}

static int parse_protection(const cJSON *encrypt, struct protection *ret_protection,
                            struct error *reterr)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(encrypt, "permissions");
    const char *user = text(encrypt, "user_password"), *owner = text(encrypt, "owner_password");

    if (encrypt == NULL)
        return 0;
    if (user == NULL)
        user = "";
    if (owner == NULL || *owner == '\0')
        owner = user;
    if (*owner == '\0')
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "The parameter encrypt has neither a user_password nor an "
                         "owner_password.");
    if (strlen(user) > PASSWORD_MAX || strlen(owner) > PASSWORD_MAX)
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "A password of the parameter encrypt has more than %d bytes.",
                         PASSWORD_MAX);
    *ret_protection = (struct protection){.is_wanted = true,
                                          .user_password = user,
                                          .owner_password = owner,
                                          .may_print = may(list, "print"),
                                          .may_print_well = may(list, "print_high_resolution"),
                                          .may_modify = may(list, "modify"),
                                          .may_copy = may(list, "copy"),
                                          .may_annotate = may(list, "annotate"),
                                          .may_fill_forms = may(list, "fill_forms"),
                                          .may_assemble = may(list, "assemble")};
    return 0;
}

static int parse(struct job *j, struct error *reterr)
{
    const cJSON *params = run_params(j->run);
    const char *object_streams = text(params, "object_streams");

    j->split = number(params, "split", 0);
    j->write.is_linearized = cJSON_IsTrue(param(j, "linearize"));
    j->write.is_compressed = cJSON_IsTrue(param(j, "compress"));
    j->write.object_streams = strcmp(object_streams, "generate") == 0  ? qpdf_o_generate
                              : strcmp(object_streams, "disable") == 0 ? qpdf_o_disable
                                                                       : qpdf_o_preserve;
    if (param(j, "parts") != NULL && param(j, "select") != NULL)
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "The parameters parts and select do not go together: a part has a select "
                         "of its own.");
    int passwords = cJSON_GetArraySize(param(j, "passwords"));
    int documents = run_input_count(j->run, "document");
    if (passwords > documents)
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "The parameter passwords has %d of them for %d documents.", passwords,
                         documents);
    return parse_protection(param(j, "encrypt"), &j->write.protection, reterr);
}

/* Of the i-th document: its own, or the one for all. */
static const char *password_of(const struct job *j, int i)
{
    const char *own = cJSON_GetStringValue(cJSON_GetArrayItem(param(j, "passwords"), i));
    return own != NULL && *own != '\0' ? own : text(run_params(j->run), "password");
}

static int open_sources(struct job *j, struct error *reterr)
{
    double limit = run_limit(j->run, "max_pages");
    int count = run_input_count(j->run, "document"), pages = 0;

    j->pages_max = (int)CLAMP(limit, 0, 1000000);
    j->sources = g_new0(struct source, count);
    for (int i = 0; i < count; i++) {
        if (!run_progress(j->run, 0.1 * i / count, "reading"))
            return error_set(reterr, ERR_STOPPED, "The run was stopped.");
        j->source_count++;
        if (source_open(&j->sources[i], j->run, i, password_of(j, i), j->pages_max - pages, limit,
                        reterr) != 0)
            return -1;
        pages += j->sources[i].pages;
    }
    return 0;
}

static int add_leaves(struct job *j, int source, const char *select, int rotate,
                      struct error *reterr)
{
    struct selection s;
    int result = selection_parse(&s, "select", select, j->sources[source].pages,
                                 j->pages_max - j->leaf_count, reterr);
    if (result == 0) {
        j->leaves = g_renew(struct leaf, j->leaves, j->leaf_count + s.count);
        for (int i = 0; i < s.count; i++) {
            j->leaves[j->leaf_count++] = (struct leaf){source, s.pages[i] - 1, rotate};
            source_take(&j->sources[source], s.pages[i] - 1);
        }
    }
    selection_release(&s);
    return result;
}

static int add_part(struct job *j, const cJSON *part, int rotate, struct error *reterr)
{
    int document = number(part, "document", 1);
    if (document > j->source_count)
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "The parameter parts names document %d; there are %d.", document,
                         j->source_count);
    return add_leaves(j, document - 1, text(part, "select"),
                      (rotate + number(part, "rotate", 0)) % 360, reterr);
}

static int choose_pages(struct job *j, struct error *reterr)
{
    int rotate = number(run_params(j->run), "rotate", 0), result = 0;
    const cJSON *parts = param(j, "parts");
    const cJSON *part;

    cJSON_ArrayForEach(part, parts)
    {
        if (add_part(j, part, rotate, reterr) != 0)
            return -1;
    }
    for (int i = 0; parts == NULL && result == 0 && i < j->source_count; i++)
        result = add_leaves(j, i, text(run_params(j->run), "select"), rotate, reterr);
    return result;
}

/* A document whose pages go different ways, or stay behind, is not to go with each of them. */
static int trim(struct job *j, struct error *reterr)
{
    bool is_split = j->split > 0 && j->split < j->leaf_count;

    for (int i = 0; i < j->source_count; i++) {
        struct source *s = &j->sources[i];
        for (int k = 0; k < s->pages && (is_split || s->taken < s->pages); k++) {
            if (!run_progress(j->run, 0.1, "choosing fonts and pictures"))
                return error_set(reterr, ERR_STOPPED, "The run was stopped.");
            if (s->page[k].is_taken)
                resources_trim(s, k, j->run);
        }
        bool is_base = !is_split && i == j->leaves[0].source;
        if ((is_split || s->taken < s->pages) && prune(s, is_base, j->run, reterr) != 0)
            return -1;
        if (is_base && s->taken < s->pages && leads_prune(s, j->run, reterr) != 0)
            return -1;
    }
    return 0;
}

static int write_all(struct job *j, struct error *reterr)
{
    int size = j->split > 0 ? j->split : j->leaf_count;
    int count = (j->leaf_count + size - 1) / size;

    if (count > OUTPUTS_MAX)
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "%d pages, %d in each document, would be %d documents; there are at most "
                         "%d.",
                         j->leaf_count, size, count, OUTPUTS_MAX);
    for (int i = 0; i < count; i++) {
        struct assembly a = {.run = j->run,
                             .sources = j->sources,
                             .source_count = j->source_count,
                             .request = &j->write,
                             .begin = 0.1 + 0.9 * i / count,
                             .span = 0.9 / count};
        if (assembly_write(&a, j->leaves + i * size, MIN(size, j->leaf_count - i * size),
                           count == 1, reterr) != 0)
            return -1;
    }
    return 0;
}

static cJSON *describe(const struct source *s)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "pages", s->pages);
    cJSON_AddBoolToObject(object, "encrypted", s->is_encrypted);
    cJSON_AddBoolToObject(object, "repaired", s->warnings > 0 || s->is_miscounted);
    cJSON_AddNumberToObject(object, "warnings", s->warnings);
    return object;
}

static void note_holes(const struct job *j, int i, cJSON *unreadable)
{
    const GArray *holes = j->sources[i].holes;

    for (guint k = 0; k < holes->len; k++) {
        cJSON *note = cJSON_CreateObject();
        cJSON_AddNumberToObject(note, "document", i + 1);
        cJSON_AddNumberToObject(note, "page", g_array_index(holes, int, k));
        cJSON_AddStringToObject(note, "detail", "The page is missing or damaged.");
        cJSON_AddItemToArray(unreadable, note);
    }
}

static void set_result(struct job *j)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "pages", j->leaf_count);
    cJSON *outputs = cJSON_AddArrayToObject(object, "outputs");
    cJSON *documents = cJSON_AddArrayToObject(object, "documents");
    cJSON *unreadable = cJSON_AddArrayToObject(object, "unreadable");
    int size = j->split > 0 ? j->split : j->leaf_count;

    for (int at = 0; at < j->leaf_count; at += size) {
        cJSON *each = cJSON_CreateObject();
        cJSON_AddNumberToObject(each, "pages", MIN(size, j->leaf_count - at));
        cJSON_AddItemToArray(outputs, each);
    }
    for (int i = 0; i < j->source_count; i++) {
        /* A source that the result was made of has the warnings of all of them. */
        if (j->source_count == 1 || size < j->leaf_count || i != j->leaves[0].source)
            source_count_warnings(&j->sources[i]);
        cJSON_AddItemToArray(documents, describe(&j->sources[i]));
        note_holes(j, i, unreadable);
    }
    run_result(j->run, object);
}

static int assemble(struct job *j, struct error *reterr)
{
    if (parse(j, reterr) != 0 || open_sources(j, reterr) != 0 || choose_pages(j, reterr) != 0 ||
        trim(j, reterr) != 0 || write_all(j, reterr) != 0)
        return -1;
    set_result(j);
    return 0;
}

static void release(struct job *j)
{
    for (int i = 0; i < j->source_count; i++)
        source_release(&j->sources[i]);
    g_free(j->sources);
    g_free(j->leaves);
}

int pdf_assemble(struct run *run, struct error *reterr)
{
    struct job j = {.run = run};
    int result = assemble(&j, reterr);
    release(&j);
    return result;
}
