#include "common/work/book/owner.h"
#include "common/base/queue.h"
#include "common/base/util.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>

/* What another thread wants, on its stack: it sleeps there until `done`. */
struct errand {
    struct queue_item item;
    enum book_operation operation;
    uint64_t seed;
    struct market_result result;
    sem_t done;
};

struct market_owner {
    struct market *market;
    struct queue errands;
};

static void *own(void *argument)
{
    struct market_owner *owner = argument;
    struct queue_item *item;
    while ((item = queue_take(&owner->errands))) {
        struct errand *errand = container_of(item, struct errand, item);
        errand->result = market_apply(owner->market, errand->operation, errand->seed);
        sem_post(&errand->done); /* from here on it is gone */
    }
    return NULL;
}

struct market_owner *owner_start(struct market *market)
{
    struct market_owner *owner = must_calloc(1, sizeof *owner);
    sigset_t all, before;
    pthread_t thread;
    owner->market = market;
    queue_init(&owner->errands, 0, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the threads that serve */
    if (pthread_create(&thread, NULL, own, owner))
        die("cannot start the thread that owns the order books");
    pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return owner;
}

struct market_result owner_perform(struct market_owner *owner, enum book_operation operation,
                                   uint64_t seed)
{
    struct errand errand = {.operation = operation, .seed = seed};
    sem_init(&errand.done, 0, 0);
    queue_put(&owner->errands, &errand.item);
    while (sem_wait(&errand.done) && errno == EINTR) {
    }
    sem_destroy(&errand.done);
    return errand.result;
}
