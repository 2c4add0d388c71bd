#include "services/upstream/store.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct pair {
    struct span key; /* first: what the tree is ordered by. In `bytes`, and the value behind it */
    struct span value;
    char bytes[];
};

int span_compare(const void *a, const void *b)
{
    const struct span *one = a, *other = b;
    size_t len = one->len < other->len ? one->len : other->len;
    int order = memcmp(one->data, other->data, len);
    return order ? order : (one->len > other->len) - (one->len < other->len);
}

static struct pair *find(const struct store *store, const struct span *key)
{
    struct pair **found = tfind(key, &store->pairs, span_compare);
    return found ? *found : NULL;
}

const struct span *store_get(const struct store *store, struct span key)
{
    const struct pair *pair = find(store, &key);
    return pair ? &pair->value : NULL;
}

static struct pair *new_pair(struct span key, struct span value)
{
    struct pair *pair = must_calloc(1, sizeof *pair + key.len + value.len);
    pair->key = (struct span){pair->bytes, key.len};
    pair->value = (struct span){pair->bytes + key.len, value.len};
    memcpy(pair->key.data, key.data, key.len);
    memcpy(pair->value.data, value.data, value.len);
    return pair;
}

static void add(struct store *store, struct pair *pair)
{
    if (!tsearch(pair, &store->pairs, span_compare))
        die("out of memory");
    store->count++;
    store->bytes += pair->key.len + pair->value.len;
}

bool store_set(struct store *store, struct span key, struct span value)
{
    const struct pair *former = find(store, &key);
    size_t freed = former ? former->key.len + former->value.len : 0;
    if (key.len > KEY_LEN_MAX || value.len > VALUE_LEN_MAX)
        return false;
    if (store->count - !!former >= KEYS_MAX ||
        store->bytes - freed + key.len + value.len > STORE_BYTES_MAX)
        return false;
    struct pair *pair = new_pair(key, value); /* the new value may be in the former pair */
    store_delete(store, key);
    add(store, pair);
    return true;
}

bool store_delete(struct store *store, struct span key)
{
    struct pair *pair = find(store, &key);
    if (!pair)
        return false;
    tdelete(pair, &store->pairs, span_compare);
    store->count--;
    store->bytes -= pair->key.len + pair->value.len;
    free(pair);
    return true;
}

void store_free(struct store *store)
{
    tdestroy(store->pairs, free);
    *store = (struct store){0};
}
