#include "common/work/counting.h"
#include "common/base/util.h"

#include <pthread.h>
#include <sys/queue.h>

/* What a thread has under the key: its own slot. Kept for the next thread when this one ends, with
 * the counts so far, which remain part of the sum. */
struct holding {
    struct counting *counting;
    struct counter_slot *slot;
    SLIST_ENTRY(holding) link;
};

struct counting {
    enum counting_mode mode;
    struct counters_file *file;
    struct counter_slot *shared; /* with TSS: of threads for which no slot was left */
    pthread_key_t key;           /* of a struct holding; with TSS only */
    pthread_mutex_t lock;        /* guards `shared` with MUTEX, `vacant` with TSS */
    SLIST_HEAD(, holding) vacant;
    struct holding crowded; /* what all those have that share a slot */
};

static void give_back(void *object)
{
    struct holding *holding = object;
    struct counting *counting = holding->counting;
    if (holding == &counting->crowded)
        return;
    pthread_mutex_lock(&counting->lock);
    SLIST_INSERT_HEAD(&counting->vacant, holding, link);
    pthread_mutex_unlock(&counting->lock);
}

struct counting *counting_new(struct counters_file *file, enum counting_mode mode)
{
    struct counting *counting = must_calloc(1, sizeof *counting);
    counting->mode = mode;
    counting->file = file;
    counting->shared = counters_claim(file);
    counting->crowded = (struct holding){.counting = counting, .slot = counting->shared};
    pthread_mutex_init(&counting->lock, NULL);
    if (mode == COUNTING_TSS && pthread_key_create(&counting->key, give_back))
        die("no key is left for thread-specific storage");
    return counting;
}

/* Under the lock: a slot that an ended thread gave back, or one that has not been used yet. */
static struct holding *find_vacant(struct counting *counting)
{
    struct holding *holding = SLIST_FIRST(&counting->vacant);
    if (holding) {
        SLIST_REMOVE_HEAD(&counting->vacant, link);
        return holding;
    }
    struct counter_slot *slot = counters_claim_alone(counting->file);
    if (!slot)
        return &counting->crowded;
    holding = must_calloc(1, sizeof *holding);
    *holding = (struct holding){.counting = counting, .slot = slot};
    return holding;
}

static struct counter_slot *own_slot(struct counting *counting)
{
    struct holding *holding = pthread_getspecific(counting->key);
    if (!holding) {
        pthread_mutex_lock(&counting->lock);
        holding = find_vacant(counting);
        pthread_mutex_unlock(&counting->lock);
        if (pthread_setspecific(counting->key, holding))
            die("no memory for thread-specific storage");
    }
    return holding->slot;
}

/* No other thread adds meanwhile. Readers may look: hence no plain +=, though it compiles to that. */
static void add_alone(struct counter_slot *slot, enum counter which, int64_t n)
{
    int64_t value = __atomic_load_n(&slot->value[which], __ATOMIC_RELAXED);
    __atomic_store_n(&slot->value[which], value + n, __ATOMIC_RELAXED);
}

static void add_own(struct counting *counting, enum counter which, int64_t n)
{
    struct counter_slot *slot = own_slot(counting);
    if (slot == counting->shared)
        count_add(slot, which, n);
    else
        add_alone(slot, which, n);
}

void counting_add(struct counting *counting, enum counter which, int64_t n)
{
    switch (counting->mode) {
    case COUNTING_TSS: add_own(counting, which, n); break;
    case COUNTING_MUTEX:
        pthread_mutex_lock(&counting->lock);
        add_alone(counting->shared, which, n);
        pthread_mutex_unlock(&counting->lock);
        break;
    case COUNTING_ATOMIC: count_add(counting->shared, which, n); break;
    }
}

struct counter_slot *counting_slot(struct counting *counting)
{
    return counting->mode == COUNTING_TSS ? own_slot(counting) : counting->shared;
}
