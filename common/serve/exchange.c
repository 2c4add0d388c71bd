#include "common/serve/exchange.h"
#include "common/base/util.h"

#include <stdlib.h>

enum { SPARES_KEPT = 64 };

void exchanges_init(struct exchanges *exchanges)
{
    pthread_mutex_init(&exchanges->lock, NULL);
    exchanges->lent = exchanges->spares = 0;
    SLIST_INIT(&exchanges->spare);
}

/* Under the lock. NULL: none is spare. */
static struct exchange *take_spare(struct exchanges *exchanges)
{
    struct exchange *exchange = SLIST_FIRST(&exchanges->spare);
    if (exchange) {
        SLIST_REMOVE_HEAD(&exchanges->spare, spare);
        exchanges->spares--;
    }
    return exchange;
}

static void discard(struct exchange *exchange)
{
    if (!exchange)
        return;
    websocket_free(&exchange->websocket);
    free(exchange);
}

void exchanges_free(struct exchanges *exchanges)
{
    struct exchange *exchange;
    while ((exchange = take_spare(exchanges)))
        discard(exchange);
    pthread_mutex_destroy(&exchanges->lock);
}

struct exchange *exchange_take(struct exchanges *exchanges)
{
    pthread_mutex_lock(&exchanges->lock);
    struct exchange *exchange = take_spare(exchanges);
    exchanges->lent++;
    pthread_mutex_unlock(&exchanges->lock);
    if (exchange)
        return exchange;
    exchange = malloc(sizeof *exchange);
    if (!exchange)
        die("out of memory");
    websocket_init(&exchange->websocket);
    return exchange;
}

/* One more spare and one less lent: two at most are beyond the limit. */
void exchange_give(struct exchanges *exchanges, struct exchange *exchange)
{
    struct exchange *surplus[2] = {NULL, NULL};
    pthread_mutex_lock(&exchanges->lock);
    exchanges->lent--;
    SLIST_INSERT_HEAD(&exchanges->spare, exchange, spare);
    exchanges->spares++;
    for (int i = 0; i < 2; i++)
        if (exchanges->spares > SPARES_KEPT && exchanges->spares > exchanges->lent)
            surplus[i] = take_spare(exchanges);
    pthread_mutex_unlock(&exchanges->lock);
    discard(surplus[0]);
    discard(surplus[1]);
}
