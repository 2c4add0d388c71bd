/* moment: see moment.h. */
#include "loadgen/plan/moment.h"

#include <stdio.h>
#include <string.h>

void moment_write(char *digits, int64_t ns)
{
    uint64_t rest = (uint64_t)ns;

    for (int i = WORKLOAD_TIME_DIGITS - 1; i >= 0; i--, rest /= 10)
        digits[i] = (char)('0' + rest % 10);
}

size_t moment_expand(char *out, const char *target)
{
    const char *mark = strstr(target, WORKLOAD_TIME);
    size_t at = mark ? (size_t)(mark - target) : 0;

    if (!mark) {
        snprintf(out, MOMENT_TARGET, "%s", target);
        return 0;
    }
    memcpy(out, target, at);
    moment_write(out + at, 0);
    snprintf(out + at + WORKLOAD_TIME_DIGITS, MOMENT_TARGET - at - WORKLOAD_TIME_DIGITS, "%s",
             mark + strlen(WORKLOAD_TIME));
    return at;
}
