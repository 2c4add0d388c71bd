/* requests: the bytes that are sent, written once before the first connection is made. */
#ifndef ARCHBENCH_REQUESTS_H
#define ARCHBENCH_REQUESTS_H

#include "loadgen/plan/plan.h"

/* Die with one line when one of -H is not "Name: value", or would end its line. */
void requests_check_headers(const struct option_list *headers);

/* A request of this method for `path` of the target, with the headers of the URL (Host,
 * Authorization) that -H does not give in their place. The plan owns its bytes. */
void request_build(struct request *, const struct target *, const char *path, const char *method,
                   const struct option_list *headers);

#endif
