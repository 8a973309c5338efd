/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scgi.c - see scgi.h
 */
#include "hub/scgi.h"

#include <stdbool.h>
#include <string.h>

#define LENGTH_DIGITS_MAX 5 /* of SCGI_HEADER_MAX */

static enum scgi_result bad(struct error *reterr, const char *what)
{
    (void)error_set(reterr, ERR_INVALID_REQUEST, "The SCGI request is not well-formed: %s.", what);
    return SCGI_BAD;
}

/* The netstring's length, which *ret_digits characters and a colon stand for. */
static enum scgi_result parse_length(const char *bytes, size_t size, size_t *ret_length,
                                     size_t *ret_digits, struct error *reterr)
{
    size_t length = 0, i = 0;
    for (; i < size && i <= LENGTH_DIGITS_MAX && bytes[i] >= '0' && bytes[i] <= '9'; i++)
        length = length * 10 + (size_t)(bytes[i] - '0');
    if (length > SCGI_HEADER_MAX || i > LENGTH_DIGITS_MAX) {
        (void)error_set(reterr, ERR_HEADERS_TOO_LARGE,
                        "The header fields are over the hub's limit of %d bytes.", SCGI_HEADER_MAX);
        return SCGI_BAD;
    }
    if (i > 1 && bytes[0] == '0')
        return bad(reterr, "its length begins with a zero");
    if (i == size)
        return SCGI_MORE;
    if (i == 0 || bytes[i] != ':')
        return bad(reterr, "it does not begin with a length and a colon");
    *ret_length = length;
    *ret_digits = i;
    return SCGI_COMPLETE;
}

/* Keep the value if the hub reads it. False when it has one of that name already. */
static bool take(struct scgi_request *request, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **place;
    } wanted[] = {
        {"DOCUMENT_URI", &request->uri},      {"QUERY_STRING", &request->query},
        {"REQUEST_METHOD", &request->method}, {"HTTP_LAST_EVENT_ID", &request->last_event_id},
        {"REQUEST_ID", &request->request_id},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (strcmp(wanted[i].name, name) != 0)
            continue;
        if (*wanted[i].place)
            return false;
        *wanted[i].place = value;
    }
    return true;
}

static bool is_number(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static enum scgi_result parse_header(const char *at, const char *end, struct scgi_request *request,
                                     struct error *reterr)
{
    bool is_first = true, is_scgi = false;
    if (at == end || end[-1] != '\0')
        return bad(reterr, "its header does not end with a NUL");
    while (at < end) { /* the last byte is a NUL, so no text runs beyond it */
        const char *name = at, *value = name + strlen(name) + 1;
        if (name[0] == '\0' || value == end)
            return bad(reterr, "a name or a value is missing");
        at = value + strlen(value) + 1;
        if (is_first && (strcmp(name, "CONTENT_LENGTH") != 0 || !is_number(value)))
            return bad(reterr, "CONTENT_LENGTH does not come first");
        is_first = false;
        if (strcmp(name, "SCGI") == 0)
            is_scgi = strcmp(value, "1") == 0;
        if (!take(request, name, value))
            return bad(reterr, "a name is repeated");
    }
    return is_scgi ? SCGI_COMPLETE : bad(reterr, "it is not of version 1");
}

enum scgi_result scgi_parse(const char *bytes, size_t size, struct scgi_request *ret_request,
                            struct error *reterr)
{
    size_t length, digits;
    enum scgi_result result = parse_length(bytes, size, &length, &digits, reterr);
    if (result != SCGI_COMPLETE)
        return result;
    const char *header = bytes + digits + 1;
    if (size - digits - 1 < length + 1)
        return SCGI_MORE;
    if (header[length] != ',')
        return bad(reterr, "its header does not end with a comma");
    struct scgi_request request = {0};
    result = parse_header(header, header + length, &request, reterr);
    if (result != SCGI_COMPLETE)
        return result;
    const char **places[] = {&request.uri, &request.query, &request.method, &request.last_event_id,
                             &request.request_id};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (!*places[i])
            *places[i] = "";
    }
    *ret_request = request;
    return SCGI_COMPLETE;
}
