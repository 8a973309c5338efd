/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loopback.c - see loopback.h
 *
 * The address alone does not do: the browser of somebody on this host reaches it as well, on behalf
 * of any web page. Such a page has a name of its own, which it can give our address to, but it
 * cannot have the browser send another Host.
 */
#include "api/loopback.h"

#include <string.h>
#include <strings.h>

#include "base/address.h"

#define NAME_SIZE 256
#define PORT_DIGITS 5

/* "" or ":8080" */
static bool is_port(const char *text)
{
    size_t size = strlen(text);
    return size == 0 || (text[0] == ':' && size >= 2 && size <= PORT_DIGITS + 1 &&
                         strspn(text + 1, "0123456789") == size - 1);
}

static bool is_name(const char *name)
{
    static const char domain[] = ".localhost";
    size_t size = strlen(name), domain_size = sizeof(domain) - 1;
    if (strcasecmp(name, domain + 1) == 0)
        return true;
    return size > domain_size && strcasecmp(name + size - domain_size, domain) == 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == size;
}

bool loopback_is_host(const char *host)
{
    char name[NAME_SIZE];
    bool is_v6 = host[0] == '[';
    size_t size = strcspn(host += is_v6, is_v6 ? "]" : ":");
    if (size >= sizeof(name) || (is_v6 && host[size] != ']') || !is_port(host + size + is_v6))
        return false;
    memcpy(name, host, size);
    name[size] = '\0';
    if (is_v6)
        return strchr(name, ':') && address_is_loopback(name);
    return is_name(name) || address_is_loopback(name);
}

/* A proxy on this host has a loopback address as well, whoever it asks for. */
static bool is_client(const struct http_request *req)
{
    static const char *const fields[] = {"Forwarded", "Via", "X-Forwarded-For", "X-Real-IP"};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (http_header(req, fields[i]))
            return false;
    }
    return address_is_loopback(http_variable(req, "REMOTE_ADDR"));
}

bool loopback_is_request(const struct http_request *req)
{
    const char *address = http_variable(req, "SERVER_ADDR");
    const char *client = http_variable(req, "REMOTE_ADDR");
    const char *host = http_header(req, "Host");
    if (*address)
        return address_is_loopback(address) && is_client(req) && host && loopback_is_host(host);
    if (req->stream->peer_fd >= 0) /* FastCGI has to say it */
        return false;
    if (!*client)
        return true;
    const char *name = http_variable(req, "SERVER_NAME");
    bool is_server = loopback_is_host(name) || address_is_loopback(name);
    return is_server && is_client(req) && host && loopback_is_host(host);
}
