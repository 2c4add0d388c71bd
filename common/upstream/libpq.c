#include "common/upstream/libpq.h"
#include "common/base/util.h"

#include <dlfcn.h>

static void *find(void *library, const char *name)
{
    void *function = dlsym(library, name);
    if (!function)
        die("libpq lacks %s: PostgreSQL 14 or later is needed", name);
    return function;
}

void libpq_load(struct libpq *libpq)
{
    void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        die("a database needs Debian's package libpq5: %s", dlerror());
#define X(name) libpq->name = (__typeof__(libpq->name))find(library, #name);
    LIBPQ_FUNCTIONS(X)
#undef X
}
