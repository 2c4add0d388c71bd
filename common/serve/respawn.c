#include "common/serve/respawn.h"

void respawn_begin(struct respawn *place, int64_t at_ns)
{
    place->begin_ns = at_ns;
}

static int64_t next_pause_ns(const struct respawn *place)
{
    if (!place->pause_ns)
        return RESPAWN_FIRST_NS;
    return place->pause_ns < RESPAWN_LAST_NS / 2 ? 2 * place->pause_ns : RESPAWN_LAST_NS;
}

void respawn_end(struct respawn *place, int64_t at_ns)
{
    bool young = at_ns - place->begin_ns < RESPAWN_YOUNG_NS;
    place->pause_ns = young ? next_pause_ns(place) : 0;
    place->due_ns = at_ns + place->pause_ns;
}
