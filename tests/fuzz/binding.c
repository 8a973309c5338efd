/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * binding: a whole request for a task becomes its parameters and inputs. Lines: the task's number,
 * Content-Type, query; the rest is the body. What was understood, printed as JSON, is understood as
 * the same.
 */
#include "api/binding.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "memory_stream.h"

#define FOLDER "tasks"
#define MAX_BYTES 2000

#define LIMITS "\"limits\": {\"seconds\": 1, \"memory_mb\": 64, \"output_bytes\": 1000}}"
#define HEAD(name)       \
    "{\"name\": \"" name \
    "\", \"version\": 1, \"module\": \"t\", \"class\": \"cpu\", \"summary\": \"Test\", "

/* One input; several, some of them optional; none. */
static const char *const descriptors[] = {
    HEAD("t.one") "\"inputs\": [{\"name\": \"image\", \"media_types\": [\"image/png\", "
                  "\"image/jpeg\"], \"max_bytes\": 200}], \"params\": {\"type\": \"object\", "
                  "\"additionalProperties\": false, \"properties\": {\"width\": {\"type\": "
                  "\"integer\", \"minimum\": 1}, \"strip\": {\"type\": \"boolean\", \"default\": "
                  "true}, \"crop\": {\"type\": \"object\", \"properties\": {\"left\": {\"type\": "
                  "\"number\"}}}, \"tags\": {\"type\": \"array\", \"items\": {\"type\": "
                  "\"string\"}}}}, " LIMITS,
    HEAD("t.many") "\"inputs\": [{\"name\": \"file\", \"max_bytes\": 100, \"many\": {\"max\": 2}}, "
                   "{\"name\": \"mask\", \"max_bytes\": 20, \"optional\": true}], \"params\": "
                   "{\"type\": \"object\", \"properties\": {\"text\": {\"type\": "
                   "\"string\"}}}, " LIMITS,
    HEAD("t.none") "\"params\": {\"type\": \"object\", \"required\": [\"n\"], "
                   "\"additionalProperties\": false, \"properties\": {\"n\": {\"type\": "
                   "\"integer\"}}}, " LIMITS,
};
static const char *const names[] = {"t.one", "t.many", "t.none"};
#define TASKS (sizeof(names) / sizeof(names[0]))

static const struct config cfg = {
    .server_tasks_dir = FOLDER, .http_max_body_bytes = MAX_BYTES, .http_max_json_bytes = 1000};

static struct catalog *make_catalog(struct arena *a)
{
    struct catalog *catalog;
    struct error err;
    (void)mkdir(FOLDER, 0777);
    for (size_t i = 0; i < TASKS; i++) {
        int fd = open(arena_printf(a, FOLDER "/%s.json", names[i]),
                      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        FUZZ_CHECK(fd >= 0 && write(fd, descriptors[i], strlen(descriptors[i])) > 0);
        (void)close(fd);
    }
    FUZZ_CHECK(catalog_open(&cfg, &catalog, &err) == 0);
    return catalog;
}

static struct http_request *read_request(struct arena *a, struct memory_stream *m,
                                         struct fuzz_input *in)
{
    static const struct http_limits limits = {50, 65536};
    const char *type = fuzz_line(in, a), *query = fuzz_line(in, a);
    char **params = arena_alloc(a, 6 * sizeof(*params));
    struct http_request *req;
    struct error err;
    params[0] = arena_strdup(a, "REQUEST_METHOD=POST");
    params[1] = arena_strdup(a, "DOCUMENT_URI=/v1/tasks/x");
    params[2] = arena_printf(a, "QUERY_STRING=%s", query);
    params[3] = arena_printf(a, "CONTENT_TYPE=%s", type);
    params[4] = arena_printf(a, "CONTENT_LENGTH=%zu", fuzz_rest(in));
    memory_stream_init(m, params, "");
    m->body = arena_memdup(a, in->at, fuzz_rest(in));
    m->body_size = fuzz_rest(in);
    m->read_max = 70;
    return http_request_read(&m->base, &limits, a, &req, &err) == 0 ? req : NULL;
}

static void check_inputs(const struct task_desc *task, const struct binding *b)
{
    for (int i = 0; i < b->input_count; i++) {
        const struct order_input *in = &b->inputs[i];
        FUZZ_CHECK(in->offset <= b->body->size && in->size <= b->body->size - in->offset);
        FUZZ_CHECK(fuzz_is_printable(in->file_name) && fuzz_is_printable(in->media_type));
        bool is_known = false;
        for (int k = 0; k < task->input_count; k++)
            is_known = is_known || (strcmp(task->inputs[k].name, in->name) == 0 &&
                                    in->size <= task->inputs[k].max_bytes);
        FUZZ_CHECK(is_known);
    }
    for (int i = 0; i < b->blob_count; i++)
        FUZZ_CHECK(b->blobs[i].input >= 0 && b->blobs[i].input < b->input_count);
}

static void check_binding(struct arena *a, const struct task_desc *task, const struct binding *b)
{
    struct field_errors errors = {.arena = a};
    struct binding again;
    struct error err;
    cJSON *root;
    check_inputs(task, b);
    const char *params = json_print(a, b->params, NULL), *printed = binding_print(a, b);
    FUZZ_CHECK(json_parse(a, printed, strlen(printed), &root, &err) == 0);
    if (!b->json && b->input_count > 0)
        return; /* the inputs are not JSON, so they are not printed */
    FUZZ_CHECK(binding_read_json(a, &cfg, task, root, "", &again, &errors, &err) == 0);
    FUZZ_CHECK(strcmp(json_print(a, again.params, NULL), params) == 0);
    FUZZ_CHECK(again.input_count == b->input_count && again.blob_count == b->blob_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct catalog *catalog;
    struct arena *a = arena_new();
    struct fuzz_input in = {data, data + size};
    struct memory_stream m;
    struct binding b;
    struct error err = {.code = ERR_NONE};
    struct field_errors errors = {.arena = a};
    if (!catalog)
        catalog = make_catalog(a);
    const struct task_desc *task = catalog_find(catalog, names[fuzz_number(&in, 1) % TASKS]);
    struct http_request *req = read_request(a, &m, &in);
    if (req && binding_read(req, &cfg, task, &b, &errors, &err) == 0) {
        FUZZ_CHECK(errors.count == 0);
        check_binding(a, task, &b);
    } else if (req) {
        FUZZ_CHECK(err.code != ERR_INTERNAL);
        fuzz_check_error(&err, err.code);
    }
    fuzz_check_field_errors(&errors);
    strbuf_release(&m.answer);
    arena_free(a);
    return 0;
}
