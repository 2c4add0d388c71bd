/* rooms: of connections that subscribe to one topic of many: its members, what they have published, and what
 * of it one of them has not got. See engine.h. */
#include "loadgen/worker/engine.h"

#include <stdio.h>
#include <string.h>

const struct plan_pool *plan_pool_of(const struct client *c, const struct connection *conn)
{
    return &c->plan->pool[conn->pool];
}

uint32_t room_of(const struct client *c, const struct connection *conn)
{
    return conn->messenger->number % (uint32_t)plan_pool_of(c, conn)->rooms;
}

uint32_t room_members(const struct client *c, const struct connection *conn)
{
    const struct plan_pool *pool = plan_pool_of(c, conn);
    uint32_t rooms = (uint32_t)pool->rooms;

    return rooms ? ((uint32_t)pool->connections - 1 - room_of(c, conn)) / rooms + 1 : 0;
}

uint32_t *room_published(const struct client *c, const struct connection *conn)
{
    uint32_t *published = c->published;

    for (int i = 0; i < conn->pool; i++)
        published += c->plan->pool[i].connections;
    return published;
}

void room_write(char *out, size_t size, const char *target, uint32_t room)
{
    static const char mark[] = WORKLOAD_ROOM;
    const char *at;
    size_t used = 0;

    while (used < size && (at = strstr(target, mark))) {
        used += (size_t)snprintf(out + used, size - used, "%.*sroom%u", (int)(at - target), target,
                                 room);
        target = at + sizeof mark - 1;
    }
    if (used < size)
        snprintf(out + used, size - used, "%s", target);
}

/* The number of the last message that a member of the connection's room is known to have published. */
static uint32_t published_by(const struct client *c, const struct connection *conn, uint32_t member)
{
    uint32_t rooms = (uint32_t)plan_pool_of(c, conn)->rooms;

    return __atomic_load_n(&room_published(c, conn)[member * rooms + room_of(c, conn)],
                           __ATOMIC_ACQUIRE);
}

uint64_t room_missing(const struct client *c, const struct connection *conn)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < room_members(c, conn); i++)
        sum += deliveries_missing(&conn->messenger->following[i], published_by(c, conn, i));
    return sum;
}

void room_end(struct client *c, const struct connection *conn, bool there)
{
    struct delivery_stats *stats = &c->stats->class[plan_pool_of(c, conn)->class].deliveries;

    for (uint32_t i = 0; i < room_members(c, conn); i++) {
        struct following *f = &conn->messenger->following[i];

        if (!there)
            deliveries_away(f);
        deliveries_end(stats, f, published_by(c, conn, i));
    }
}
