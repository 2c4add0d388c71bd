#include "servers/serverless/backoff.h"

int64_t backoff_ns(int64_t base_ns, int failed, uint32_t draw)
{
    int64_t bound_ns = base_ns;
    for (int i = 1; i < failed && bound_ns < BACKOFF_MAX_NS; i++)
        bound_ns *= 2;
    if (bound_ns > BACKOFF_MAX_NS)
        bound_ns = BACKOFF_MAX_NS;
    return (int64_t)((double)bound_ns * draw / 0x1p32);
}
