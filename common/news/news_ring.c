#include "common/news/news_ring.h"
#include "common/base/counters.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What is before each frame in the ring. */
struct entry {
    uint32_t bytes;  /* of this and the frame, rounded up */
    uint32_t number; /* how many were put before it */
    uint32_t len;    /* of the frame */
    pid_t process;   /* that put it */
    uint32_t bit;    /* of the topic */
    char topic[TOPIC_NAME_MAX + 1];
};

enum { ALIGNMENT = 64 };

/* A process that is to be woken. Read without the lock: a word that is just changing is of a process that looks
 * into the ring itself. */
struct listener {
    atomic_int process; /* 0: the place is free */
    _Atomic uint64_t topics[TOPIC_BITS / 64];
};

struct news_ring {
    pthread_mutex_t lock; /* guards what is in the ring, and ... */
    /* Atomic: before a change of these two all that was written earlier is stored, even if the process is killed. */
    _Atomic uint64_t head; /* where the next news goes, counted in bytes since the first */
    _Atomic uint64_t tail; /* the oldest news that is whole */
    uint32_t number;       /* of the next news */
    int places;
    atomic_int listeners; /* places below that were ever taken */
    char *bytes;          /* NEWS_RING_BYTES, mapped before the fork: the same address everywhere */
    struct listener listener[];
};

static void *share(size_t bytes)
{
    void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        die_errno("cannot share memory");
    return area;
}

struct news_ring *news_ring_new(int listeners)
{
    struct news_ring *ring = share(sizeof *ring + (size_t)listeners * sizeof *ring->listener);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&ring->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    ring->places = listeners;
    ring->bytes = share(NEWS_RING_BYTES);
    return ring;
}

/* Bytes at a place of the ring: an entry never goes over its end. */
static struct entry *entry_at(const struct news_ring *ring, uint64_t at)
{
    return (struct entry *)(ring->bytes + at % NEWS_RING_BYTES);
}

/* A process died with the lock. What it wrote counts for nothing unless it has moved `head`, and it may have numbered
 * what it did not come to put. */
static void number_anew(struct news_ring *ring)
{
    for (uint64_t at = ring->tail; at < ring->head; at += entry_at(ring, at)->bytes)
        if (entry_at(ring, at)->topic[0])
            ring->number = entry_at(ring, at)->number + 1;
}

static void lock(struct news_ring *ring)
{
    if (pthread_mutex_lock(&ring->lock) != EOWNERDEAD)
        return;
    number_anew(ring);
    pthread_mutex_consistent(&ring->lock);
}

static void unlock(struct news_ring *ring)
{
    pthread_mutex_unlock(&ring->lock);
}

/* Under the lock: forget the oldest news until there is room for so many bytes. */
static void make_room(struct news_ring *ring, uint64_t end)
{
    while (end - ring->tail > NEWS_RING_BYTES)
        ring->tail += entry_at(ring, ring->tail)->bytes;
}

/* Under the lock: an entry of so many bytes, after one without topic if it would go over the end. */
static void append(struct news_ring *ring, uint32_t bytes, const struct publication *news)
{
    uint64_t left = NEWS_RING_BYTES - ring->head % NEWS_RING_BYTES;
    if (left < bytes) {
        make_room(ring, ring->head + left);
        *entry_at(ring, ring->head) =
            (struct entry){.bytes = (uint32_t)left, .number = ring->number};
        ring->head += left;
    }
    make_room(ring, ring->head + bytes);
    struct entry *entry = entry_at(ring, ring->head);
    *entry = (struct entry){.bytes = bytes,
                            .number = ring->number,
                            .len = news->frame->len,
                            .process = getpid(),
                            .bit = topic_bit(news->topic)};
    memcpy(entry->topic, news->topic, sizeof entry->topic);
    memcpy(entry + 1, news->frame->bytes, news->frame->len);
    ring->number++;
    ring->head += bytes;
}

bool news_ring_put(struct news_ring *ring, const struct publication *news)
{
    uint64_t bytes = sizeof(struct entry) + news->frame->len;
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (bytes > NEWS_RING_BYTES / 4)
        return false;
    lock(ring);
    append(ring, (uint32_t)bytes, news);
    unlock(ring);
    return true;
}

void news_reader_init(struct news_reader *reader, struct news_ring *ring,
                      const struct topic_set *interest)
{
    lock(ring);
    *reader = (struct news_reader){
        .ring = ring, .at = ring->head, .number = ring->number, .process = getpid()};
    unlock(ring);
    memset(&reader->interest, 0xff, sizeof reader->interest);
    if (interest)
        reader->interest = *interest;
}

/* Under the lock. Entries without topic only fill the end of the ring. */
static bool take_next(struct news_reader *reader, struct publication *news, int64_t *lost)
{
    struct news_ring *ring = reader->ring;
    if (reader->at < ring->tail)
        reader->at = ring->tail;
    while (reader->at < ring->head) {
        const struct entry *entry = entry_at(ring, reader->at);
        reader->at += entry->bytes;
        if (!entry->topic[0])
            continue;
        *lost += entry->number - reader->number;
        reader->number = entry->number + 1;
        if (entry->process == reader->process || !topic_set_has(&reader->interest, entry->bit))
            continue;
        memcpy(news->topic, entry->topic, sizeof news->topic);
        news->frame = frame_copy((const char *)(entry + 1), entry->len);
        return true;
    }
    return false;
}

bool news_reader_next(struct news_reader *reader, struct publication *news, int64_t *lost)
{
    lock(reader->ring);
    bool found = take_next(reader, news, lost);
    unlock(reader->ring);
    return found;
}

void news_reader_deliver(struct news_reader *reader, struct topics *topics,
                         struct counter_slot *counters)
{
    struct publication news;
    int64_t lost = 0;
    while (news_reader_next(reader, &news, &lost)) {
        count_add(counters, COUNTER_pushed, topics_publish(topics, news.topic, news.frame));
        frame_drop(news.frame);
    }
    count_add(counters, COUNTER_lost, lost);
}

/* Under the lock: the place of this process, or a free one; NULL: there is none. */
static struct listener *find_place(struct news_ring *ring, pid_t process)
{
    for (int i = 0; i < ring->listeners; i++)
        if (ring->listener[i].process == process)
            return &ring->listener[i];
    for (int i = 0; i < ring->places; i++)
        if (ring->listener[i].process == 0)
            return &ring->listener[i];
    return NULL;
}

bool news_ring_listen(struct news_ring *ring, const struct topic_set *topics)
{
    lock(ring);
    struct listener *listener = find_place(ring, getpid());
    if (listener) {
        for (int i = 0; i < TOPIC_BITS / 64; i++)
            listener->topics[i] = topics->bits[i];
        listener->process = getpid();
        if (listener - ring->listener >= ring->listeners)
            ring->listeners = (int)(listener - ring->listener) + 1;
    }
    unlock(ring);
    return listener;
}

void news_ring_leave(struct news_ring *ring, pid_t process)
{
    lock(ring);
    for (int i = 0; i < ring->listeners; i++)
        if (ring->listener[i].process == process)
            ring->listener[i].process = 0;
    unlock(ring);
}

pid_t news_ring_listener(const struct news_ring *ring, const char *topic, int *next)
{
    unsigned bit = topic_bit(topic);
    while (*next < ring->listeners) {
        const struct listener *listener = &ring->listener[(*next)++];
        pid_t process = listener->process;
        if (process && listener->topics[bit / 64] >> bit % 64 & 1)
            return process;
    }
    return 0;
}
