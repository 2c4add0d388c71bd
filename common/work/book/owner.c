#include "common/work/book/owner.h"
#include "common/base/util.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum slot_state {
    SLOT_FREE,
    SLOT_TAKEN,  /* the client writes what it wants */
    SLOT_POSTED, /* the owner's, until ... */
    SLOT_DONE,   /* ... the result is there */
};

enum { STATE_BITS = 2, STATE_MASK = (1 << STATE_BITS) - 1 };

struct slot {
    _Atomic uint32_t state; /* whose process and which slot_state, in one word: see state_of() */
    enum book_operation operation;
    uint64_t seed;
    struct market_result result;
} __attribute__((aligned(64)));

enum { WORDS = OWNER_SLOTS / 64 };

struct market_owner {
    struct market *market;          /* the owner's */
    _Atomic uint32_t bell;          /* how often something was posted; the owner sleeps on it ... */
    atomic_bool asleep;             /* ... or is about to */
    _Atomic uint64_t posted[WORDS]; /* a bit for each slot */
    struct slot slot[OWNER_SLOTS];
};

/* Whose slot it is changes together with its state. So whoever frees the slots of the dead never takes the process
 * that had a slot before for the one that has just taken it. The kernel's process ids have 22 bits. */
static uint32_t state_of(pid_t process, enum slot_state state)
{
    return (uint32_t)process << STATE_BITS | state;
}

/* Until somebody rings, if the word is still that. */
static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* --- the owner ---------------------------------------------------------------------------------- */

/* A bit may be set twice, see free_slots_of_the_dead(): then there is nothing to do any more. */
static void serve(struct market_owner *owner, struct slot *slot)
{
    uint32_t state = slot->state;
    if ((state & STATE_MASK) != SLOT_POSTED)
        return;
    slot->result = market_apply(owner->market, slot->operation, slot->seed);
    slot->state = state_of((pid_t)(state >> STATE_BITS), SLOT_DONE);
    futex_wake(&slot->state);
}

/* False: nothing was posted. */
static bool serve_all(struct market_owner *owner)
{
    bool some = false;
    for (int i = 0; i < WORDS; i++) {
        uint64_t bits = owner->posted[i] ? atomic_exchange(&owner->posted[i], 0) : 0;
        for (; bits; bits &= bits - 1) {
            serve(owner, &owner->slot[i * 64 + __builtin_ctzll(bits)]);
            some = true;
        }
    }
    return some;
}

/* It says that it will sleep before its last look, so that whoever posts afterwards wakes it. */
static void *own(void *argument)
{
    struct market_owner *owner = argument;
    for (;;) {
        uint32_t rung = owner->bell;
        owner->asleep = true;
        if (!serve_all(owner))
            futex_wait(&owner->bell, rung);
        owner->asleep = false;
        while (serve_all(owner)) {
        }
    }
    return NULL;
}

struct market_owner *owner_start(struct market *market)
{
    sigset_t all, before;
    pthread_t thread;
    struct market_owner *owner = mmap(NULL, sizeof *owner, PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (owner == MAP_FAILED)
        die_errno("cannot map what is handed to the owner of the order books");
    owner->market = market;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the threads that serve */
    if (pthread_create(&thread, NULL, own, owner))
        die("cannot start the thread that owns the order books");
    pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return owner;
}

/* --- its clients -------------------------------------------------------------------------------- */

static void post(struct market_owner *owner, uint32_t number)
{
    atomic_fetch_or(&owner->posted[number / 64], UINT64_C(1) << number % 64);
    atomic_fetch_add(&owner->bell, 1);
    if (owner->asleep)
        futex_wake(&owner->bell);
}

/* Their clients were killed before they gave them back, or before they had set the bit. */
static void free_slots_of_the_dead(struct market_owner *owner)
{
    for (uint32_t i = 0; i < OWNER_SLOTS; i++) {
        struct slot *slot = &owner->slot[i];
        uint32_t state = slot->state;
        if (state == SLOT_FREE || kill((pid_t)(state >> STATE_BITS), 0) == 0 || errno != ESRCH)
            continue;
        if ((state & STATE_MASK) == SLOT_POSTED)
            post(owner, i);
        else
            atomic_compare_exchange_strong(&slot->state, &state, SLOT_FREE);
    }
}

/* The same one as last time, if it is free: so its memory is in the cache. NULL: none is free. */
static struct slot *take_slot(struct market_owner *owner, pid_t process)
{
    uint32_t begin = (uint32_t)((uintptr_t)pthread_self() >> 12) + (uint32_t)process;
    for (uint32_t i = 0; i < OWNER_SLOTS; i++) {
        struct slot *slot = &owner->slot[(begin + i) % OWNER_SLOTS];
        uint32_t state = SLOT_FREE;
        if (slot->state == SLOT_FREE &&
            atomic_compare_exchange_strong(&slot->state, &state, state_of(process, SLOT_TAKEN)))
            return slot;
    }
    return NULL;
}

static struct slot *await_slot(struct market_owner *owner, pid_t process)
{
    enum { PAUSE_US = 1000 };
    struct slot *slot;
    while (!(slot = take_slot(owner, process))) {
        free_slots_of_the_dead(owner);
        usleep(PAUSE_US);
    }
    return slot;
}

struct market_result owner_perform(struct market_owner *owner, enum book_operation operation,
                                   uint64_t seed)
{
    pid_t process = getpid();
    uint32_t posted = state_of(process, SLOT_POSTED);
    struct slot *slot = await_slot(owner, process);
    uint32_t number = (uint32_t)(slot - owner->slot);
    slot->operation = operation;
    slot->seed = seed;
    slot->state = posted;
    post(owner, number);
    while (slot->state == posted)
        futex_wait(&slot->state, posted);
    struct market_result result = slot->result;
    slot->state = SLOT_FREE;
    return result;
}

/* The owner goes through the slots again and again. When the second of two operations of one slot is done, it
 * has been at every other slot since the first was handed over, if nobody else takes its slot between the two. */
void owner_settle(struct market_owner *owner)
{
    for (int i = 0; i < 2; i++)
        owner_perform(owner, BOOK_QUOTE, 0);
}
