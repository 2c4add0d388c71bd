/* store: what SET has stored, by key. It is bounded, as a Redis is by its setting maxmemory. */
#ifndef ARCHBENCH_STORE_H
#define ARCHBENCH_STORE_H

#include "common/base/util.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    KEY_LEN_MAX = 255,     /* bytes of a key; of a channel, too */
    VALUE_LEN_MAX = 65536, /* bytes of a value */
    KEYS_MAX = 65536,
    STORE_BYTES_MAX = 64 << 20, /* of all keys and values together */
};

/* All zero: empty. Keys and values are any bytes. */
struct store {
    void *pairs; /* a tree, see tsearch(3) */
    int count;
    size_t bytes;
};

/* The value, which is the store's, until the key is changed; NULL: there is no such key. */
const struct span *store_get(const struct store *, struct span key);
/* False: it would be beyond a limit; nothing has changed. Dies when there is no memory. */
bool store_set(struct store *, struct span key, struct span value);
/* False: there was no such key. */
bool store_delete(struct store *, struct span key);
void store_free(struct store *);

/* The order of spans, as memcmp(3) tells it: for trees of structs that begin with one. */
int span_compare(const void *a, const void *b);

#endif
