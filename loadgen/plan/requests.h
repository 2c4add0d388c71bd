/* requests: the bytes that are sent, written once before the first connection is made. */
#ifndef ARCHBENCH_REQUESTS_H
#define ARCHBENCH_REQUESTS_H

#include "loadgen/plan/plan.h"

/* Die with one line when one of -H is not "Name: value", or would end its line. */
void requests_check_headers(const struct option_list *headers);

/* What a request has beside its method, its target and -H. */
struct request_parts {
    const char *fields; /* whole lines; NULL: none */
    size_t body_bytes;  /* of filler, or ... */
    const char *file;   /* ... of this file; NULL: none */
};

/* A request of this method for `path` of the target, with the headers of the URL (Host,
 * Authorization) that -H does not give in their place, and the digits of 0 for WORKLOAD_TIME. The
 * plan owns its bytes. Dies when the file cannot be read. */
void request_build(struct request *, const struct target *, const char *path, const char *method,
                   const struct option_list *headers, const struct request_parts *);

#endif
