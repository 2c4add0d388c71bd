#include "common/work/book/operation.h"

#include <stdio.h>
#include <string.h>

enum { OPERATIONS = BOOK_QUOTE + 1 };
static const char *const names[OPERATIONS] = {"update", "trade", "quote"};

static bool parse_seed(const char *text, size_t len, uint64_t *seed)
{
    *seed = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (digit > 9 || *seed > (UINT64_MAX - digit) / 10)
            return false;
        *seed = *seed * 10 + digit;
    }
    return len > 0;
}

bool book_operation_parse(const char *text, size_t len, enum book_operation *operation,
                          uint64_t *seed)
{
    const char *colon = memchr(text, ':', len);
    size_t name_len = colon ? (size_t)(colon - text) : len;
    *seed = 0;
    for (int i = 0; i < OPERATIONS; i++) {
        *operation = (enum book_operation)i;
        if (strlen(names[i]) == name_len && memcmp(text, names[i], name_len) == 0)
            return !colon || parse_seed(colon + 1, len - name_len - 1, seed);
    }
    return false;
}

int book_operation_format(enum book_operation operation, uint64_t seed, char *text, size_t size)
{
    if (!seed)
        return snprintf(text, size, "%s", names[operation]);
    return snprintf(text, size, "%s:%llu", names[operation], (unsigned long long)seed);
}
