#include "common/base/util.h"
#include "common/serve/server.h"
#include "common/work/book/owner.h"

void server_books(struct server *server, enum market_sync sync)
{
    struct market *market = &server->service.market;
    if (server->is_copy && sync == MARKET_OWNER)
        die("--book owner: its thread would be one in each of the --processes");
    market->sync = server->is_copy && sync == MARKET_ALONE ? MARKET_SHARD : sync;
    if (sync == MARKET_OWNER)
        market->owner = owner_start(market);
}
