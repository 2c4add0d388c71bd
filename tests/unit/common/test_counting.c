/* The three ways of counting: each is exact, whatever threads do at the same time. */
#include "common/base/util.h"
#include "common/work/counting.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#define LONG_NS                                                                                    \
    (300 * NSEC_PER_MSEC) /* until a lost update is certain, whatever the scheduler does */

/* What several threads do, and when they begin. */
struct crew {
    struct counters_file *file;
    struct counting *counting;
    int64_t duration_ns;
    pthread_barrier_t start, end;
};

struct member {
    struct crew *crew;
    struct counter_slot *slot;
    int64_t additions;
};

/* At the end wait for the others: all slots are in use at the same time. */
static void *count(void *argument)
{
    struct member *member = argument;
    struct crew *crew = member->crew;
    pthread_barrier_wait(&crew->start);
    int64_t end_ns = now_ns() + crew->duration_ns;
    do {
        for (int i = 0; i < 1000; i++)
            counting_add(crew->counting, COUNTER_counted, 1);
        member->additions += 1000;
    } while (now_ns() < end_ns);
    counting_add(crew->counting, COUNTER_queued, -3);
    member->slot = counting_slot(crew->counting);
    count_add(member->slot, COUNTER_requests, 1);
    pthread_barrier_wait(&crew->end);
    return NULL;
}

/* So many threads at a time. Returns what they added; *slots: how many they reached. */
static int64_t run_crew(struct crew *crew, int threads, int *slots)
{
    pthread_t *thread = must_calloc((size_t)threads, sizeof *thread);
    struct member *member = must_calloc((size_t)threads, sizeof *member);
    bool seen[COUNTER_SLOTS] = {false};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    pthread_barrier_init(&crew->start, NULL, (unsigned)threads);
    pthread_barrier_init(&crew->end, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        member[i].crew = crew;
        cr_assert_eq(pthread_create(&thread[i], &attributes, count, &member[i]), 0);
    }
    int64_t additions = 0;
    *slots = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(thread[i], NULL);
        additions += member[i].additions;
        *slots += !seen[member[i].slot - crew->file->slot];
        seen[member[i].slot - crew->file->slot] = true;
    }
    free(thread);
    free(member);
    return additions;
}

static struct crew crew_of(enum counting_mode mode, int64_t duration_ns)
{
    struct counters_file *file = counters_create(NULL);
    return (struct crew){
        .file = file, .counting = counting_new(file, mode), .duration_ns = duration_ns};
}

static void is_exact(struct crew *crew, int expected_slots)
{
    enum { THREADS = 8 };
    int slots;
    int64_t additions = run_crew(crew, THREADS, &slots);
    cr_assert_eq(slots, expected_slots, "%d slots", slots);
    cr_assert_eq(counters_sum(crew->file, COUNTER_counted), additions);
    cr_assert_eq(counters_sum(crew->file, COUNTER_queued), -3 * THREADS);
    cr_assert_eq(counters_sum(crew->file, COUNTER_requests), THREADS);
}

Test(counting, a_slot_for_each_thread_loses_nothing)
{
    struct crew crew = crew_of(COUNTING_TSS, LONG_NS);
    is_exact(&crew, 8);
}

Test(counting, one_slot_with_a_lock_loses_nothing)
{
    struct crew crew = crew_of(COUNTING_MUTEX, LONG_NS);
    is_exact(&crew, 1);
}

Test(counting, one_slot_with_atomic_addition_loses_nothing)
{
    struct crew crew = crew_of(COUNTING_ATOMIC, LONG_NS);
    is_exact(&crew, 1);
}

Test(counting, threads_for_which_no_slot_is_left_share_one)
{
    struct crew crew = crew_of(COUNTING_TSS, LONG_NS);
    while (counters_claim_alone(crew.file)) {
    }
    is_exact(&crew, 1);
}

/* Threads come and go, as with a thread for each connection: slots are not used up. */
Test(counting, an_ended_thread_leaves_its_slot_to_the_next)
{
    struct crew crew = crew_of(COUNTING_TSS, 0);
    int64_t additions = 0;
    int slots;
    for (int i = 0; i < 400; i++)
        additions += run_crew(&crew, 3, &slots);
    cr_assert_eq(slots, 3);
    cr_assert_eq(crew.file->next_slot, 1 + 3, "the shared one, and one for each");
    cr_assert_eq(counters_sum(crew.file, COUNTER_counted), additions);
}

Test(counting, more_threads_than_slots)
{
    struct crew crew = crew_of(COUNTING_TSS, 0);
    int64_t additions = 0;
    int slots;
    for (int round = 1; round <= 2; round++) {
        additions += run_crew(&crew, COUNTER_SLOTS + 100, &slots);
        cr_assert_eq(slots, COUNTER_SLOTS);
        cr_assert_eq(counters_sum(crew.file, COUNTER_counted), additions);
    }
}

/* The same thread, two points of access: each has its own key. */
Test(counting, points_of_access_do_not_meet)
{
    struct crew one = crew_of(COUNTING_TSS, 0), other = crew_of(COUNTING_TSS, 0);
    counting_add(one.counting, COUNTER_counted, 5);
    counting_add(other.counting, COUNTER_counted, 7);
    cr_assert_eq(counters_sum(one.file, COUNTER_counted), 5);
    cr_assert_eq(counters_sum(other.file, COUNTER_counted), 7);
}
