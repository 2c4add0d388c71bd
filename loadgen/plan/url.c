#include "loadgen/plan/url.h"
#include "common/base/util.h"

#include <ctype.h>
#include <nettle/base64.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* user:password, decoded, so that "Basic " and its base64 fit. */
enum { CREDENTIALS = 360 };

static const char scheme[] = "http://", secure_scheme[] = "https://";

struct parser {
    struct url *url;
    char *error;
    size_t error_size;
};

__attribute__((format(printf, 2, 3))) static bool fail(const struct parser *p, const char *format,
                                                       ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(p->error, p->error_size, format, args);
    va_end(args);
    return false;
}

/* Copy a part of the URL, which has to fit. */
static bool keep(const struct parser *p, char *into, size_t size, struct span part,
                 const char *what)
{
    if (part.len >= size)
        return fail(p, "the %s of a URL may have %zu characters, and this one has %zu", what,
                    size - 1, part.len);
    memcpy(into, part.data, part.len);
    into[part.len] = '\0';
    return true;
}

static int hex_value(char c)
{
    if (isdigit((unsigned char)c))
        return c - '0';
    return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* "%41" becomes "A". Returns the length, or -1 when a '%' has no two digits or it does not fit. */
static int percent_decode(char *into, size_t size, struct span text)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == '%') {
            if (i + 2 >= text.len || hex_value(text.data[i + 1]) < 0 ||
                hex_value(text.data[i + 2]) < 0)
                return -1;
            c = (char)(hex_value(text.data[i + 1]) * 16 + hex_value(text.data[i + 2]));
            i += 2;
        }
        if (len == size)
            return -1;
        into[len++] = c;
    }
    return (int)len;
}

/* RFC 7617: "Basic " and base64 of user:password. */
static bool take_credentials(const struct parser *p, struct span text)
{
    static const char basic[] = "Basic ";
    char plain[CREDENTIALS];
    const char *colon = memchr(text.data, ':', text.len);
    int len = percent_decode(plain, sizeof plain - 1, text);

    if (len < 0)
        return fail(p,
                    "the name and password of a URL may have %d characters, and '%%' needs two "
                    "hexadecimal digits after it",
                    CREDENTIALS - 1);
    if (!colon)
        plain[len++] = ':';
    strcpy(p->url->authorization, basic);
    base64_encode_raw(p->url->authorization + strlen(basic), (size_t)len, (const uint8_t *)plain);
    p->url->authorization[strlen(basic) + BASE64_ENCODE_RAW_LENGTH((size_t)len)] = '\0';
    return true;
}

static bool take_port(const struct parser *p, const char *digits)
{
    long port = 80;

    if (digits[0] != '\0' && !parse_integer(digits, 1, 65535, &port))
        return fail(p, "'%s' is not a port", digits);
    p->url->port = (int)port;
    return true;
}

/* A name or an IPv4 address, and perhaps a port. */
static bool take_plain_host(const struct parser *p)
{
    char *colon = strchr(p->url->name, ':');

    if (colon && strchr(colon + 1, ':'))
        return fail(p, "an IPv6 address in a URL has brackets around it, as in http://[::1]:8080/");
    if (!take_port(p, colon ? colon + 1 : ""))
        return false;
    if (colon)
        *colon = '\0';
    return p->url->name[0] != '\0' || fail(p, "the URL has no host");
}

/* "[address]:port". A zone, "[fe80::1%25eth0]", is for our side only (RFC 6874): the resolver wants
 * it behind a mere '%', and the Host header is without it. */
static bool take_bracketed_host(const struct parser *p)
{
    struct url *url = p->url;
    char *end = strchr(url->name, ']'), *zone;

    if (!end || (end[1] != '\0' && end[1] != ':'))
        return fail(p, "'%s' is not an IPv6 address in brackets, with or without a port",
                    url->host);
    if (!take_port(p, end[1] == ':' ? end + 2 : ""))
        return false;
    *end = '\0';
    memmove(url->name, url->name + 1, strlen(url->name));
    zone = strchr(url->name, '%');
    if (zone) {
        char *in_host = strchr(url->host, '%'), *bracket = strchr(url->host, ']');

        memmove(in_host, bracket, strlen(bracket) + 1);
        if (strncmp(zone, "%25", 3) == 0)
            memmove(zone + 1, zone + 3, strlen(zone + 3) + 1);
    }
    return url->name[0] != '\0' || fail(p, "the URL has no host");
}

static bool take_host(const struct parser *p, struct span host)
{
    struct url *url = p->url;

    if (!keep(p, url->host, sizeof url->host, host, "host"))
        return false;
    for (size_t i = 0; i < host.len; i++)
        if (!isgraph((unsigned char)host.data[i]))
            return fail(p, "the host of a URL has no blanks");
    strcpy(url->name, url->host);
    return url->name[0] == '[' ? take_bracketed_host(p) : take_plain_host(p);
}

/* What the server sees of a URL: a fragment is for whoever shows the page. */
static bool take_target(const struct parser *p, const char *path)
{
    struct url *url = p->url;
    size_t len = strcspn(path, "#"), slash = path[0] != '/';

    for (size_t i = 0; i < len; i++)
        if (!isgraph((unsigned char)path[i]) && !((unsigned char)path[i] & 0x80))
            return fail(p, "the path and query of a URL have no blanks: write %%20 for one");
    url->target[0] = '/';
    return keep(p, url->target + slash, sizeof url->target - slash,
                (struct span){(char *)path, len}, "path and query");
}

bool url_parse(struct url *url, const char *text, char *error, size_t size)
{
    const struct parser p = {url, error, size};
    const char *host, *at = NULL;
    size_t len;

    *url = (struct url){0};
    if (strncasecmp(text, secure_scheme, strlen(secure_scheme)) == 0)
        return fail(&p, "loadgen speaks no TLS, so it takes no https:// URL: measure the server "
                        "over http://, or what stands behind its TLS proxy");
    if (strncasecmp(text, scheme, strlen(scheme)) != 0)
        return fail(&p, "'%s' is not a URL of the form http://host:port/path", text);
    host = text + strlen(scheme);
    len = strcspn(host, "/?#");
    for (size_t i = 0; i < len; i++)
        if (host[i] == '@')
            at = host + i; /* the last one: a password may have one, though it should not */
    if (at && !take_credentials(&p, (struct span){(char *)host, (size_t)(at - host)}))
        return false;
    if (at) {
        len -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    return take_host(&p, (struct span){(char *)host, len}) && take_target(&p, host + len) &&
           (snprintf(url->shown, sizeof url->shown, "%s%s", scheme, host) <
                (int)sizeof url->shown ||
            fail(&p, "the URL is longer than %zu characters", sizeof url->shown - 1));
}
