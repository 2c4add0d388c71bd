/* url: one http:// URL taken apart. */
#ifndef ARCHBENCH_URL_H
#define ARCHBENCH_URL_H

#include "loadgen/plan/workload.h"

#include <stdbool.h>
#include <stddef.h>

enum { URL_HOST = 256, URL_TEXT = 2560, URL_AUTHORIZATION = 512 };

struct url {
    char shown[URL_TEXT];                  /* as it was given, without name and password */
    char name[URL_HOST];                   /* of the host, for the resolver: no brackets */
    char host[URL_HOST];                   /* of the Host header: with brackets and port */
    int port;                              /* 80 when the URL has none */
    char target[WORKLOAD_TARGET];          /* of the request line: path and query, no fragment */
    char authorization[URL_AUTHORIZATION]; /* of the header of that name; "": none */
};

/* Take "http://[user[:password]@]host[:port][/path][?query][#fragment]" apart, as RFC 3986 has it. A
 * host is a name, an IPv4 address, or an IPv6 address in brackets. Returns false with a sentence in
 * `error`, which never has the password in it. */
bool url_parse(struct url *, const char *text, char *error, size_t size);

#endif
