/* Outboxes, topics, and the ring through which processes tell each other news. */
#include "common/news/news_ring.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct frame *frame_of(size_t payload)
{
    char *at;
    struct frame *frame = frame_new(OPCODE_BINARY, payload, &at);
    memset(at, 'x', payload);
    return frame;
}

/* --- outbox ------------------------------------------------------------------------------------ */

Test(outbox, sends_in_order_and_in_any_pieces)
{
    enum { FRAMES = 300 };
    struct outbox outbox;
    char sent[FRAMES * 16], expected[FRAMES * 16];
    size_t sent_len = 0, expected_len = 0;
    outbox_init(&outbox);
    cr_assert(outbox_is_empty(&outbox) && outbox_next(&outbox).len == 0);
    for (int i = 0; i < FRAMES; i++) {
        char text[12], *at;
        int len = snprintf(text, sizeof text, "%d", i * 7919);
        struct frame *frame = frame_new(OPCODE_TEXT, (size_t)len, &at);
        memcpy(at, text, (size_t)len);
        memcpy(expected + expected_len, frame->bytes, frame->len);
        expected_len += frame->len;
        cr_assert(outbox_put(&outbox, frame, 1 << 20));
        frame_drop(frame);
        for (int k = 0; k < 2 && i % 3 == 0; k++) { /* more go in than out, at first */
            struct span next = outbox_next(&outbox);
            size_t n = next.len > 3 ? 3 : next.len;
            if (n == 0)
                break;
            memcpy(sent + sent_len, next.data, n);
            sent_len += n;
            outbox_sent(&outbox, n);
        }
    }
    for (struct span next; (next = outbox_next(&outbox)).len; sent_len += next.len) {
        memcpy(sent + sent_len, next.data, next.len);
        outbox_sent(&outbox, next.len);
    }
    cr_assert_eq(sent_len, expected_len);
    cr_assert_arr_eq(sent, expected, sent_len);
    cr_assert(outbox_is_empty(&outbox) && !outbox_is_overrun(&outbox));
    outbox_free(&outbox);
}

Test(outbox, is_bounded_and_then_takes_no_more)
{
    struct outbox outbox;
    struct frame *large = frame_of(1000), *small = frame_of(0);
    outbox_init(&outbox);
    cr_assert(outbox_put(&outbox, large, 500), "one frame has room, whatever its size");
    cr_assert_not(outbox_put(&outbox, small, 500));
    cr_assert(outbox_is_overrun(&outbox));
    outbox_sent(&outbox, large->len);
    cr_assert_not(outbox_put(&outbox, small, 500), "what came after a hole would be out of order");
    cr_assert_eq(large->holders, 1);
    outbox_free(&outbox);
    frame_drop(large);
    frame_drop(small);
}

Test(outbox, shares_its_frames)
{
    struct outbox outbox[3];
    struct frame *frame = frame_of(10);
    for (int i = 0; i < 3; i++) {
        outbox_init(&outbox[i]);
        outbox_put(&outbox[i], frame, 1000);
        cr_assert_eq(outbox_next(&outbox[i]).data, frame->bytes);
    }
    cr_assert_eq(frame->holders, 4);
    outbox_sent(&outbox[0], frame->len);
    outbox_free(&outbox[1]); /* with the frame in it */
    cr_assert_eq(frame->holders, 2);
    outbox_free(&outbox[0]);
    outbox_free(&outbox[2]);
    frame_drop(frame);
}

/* --- topics ------------------------------------------------------------------------------------ */

static struct topics topics;
static struct subscriber one, two;

static void setup(void)
{
    topics_init(&topics, 1000);
    subscriber_init(&one);
    subscriber_init(&two);
}

TestSuite(topics, .init = setup);

static int publish(const char *topic)
{
    struct frame *frame = frame_of(1);
    int told = topics_publish(&topics, topic, frame);
    frame_drop(frame);
    return told;
}

Test(topics, tell_those_that_subscribed)
{
    cr_assert_eq(publish("a"), 0);
    cr_assert_eq(topics_subscribe(&topics, &one, "a"), 0);
    cr_assert_eq(topics_subscribe(&topics, &one, "a"), 0, "again is once");
    cr_assert_eq(topics_subscribe(&topics, &two, "a"), 0);
    cr_assert_eq(topics_subscribe(&topics, &two, "b"), 0);
    cr_assert_eq(publish("a"), 2);
    cr_assert_eq(publish("b"), 1);
    cr_assert_eq(publish("c"), 0);
    cr_assert_eq(one.outbox.count, 1);
    cr_assert_eq(two.outbox.count, 2);
    topics_unsubscribe(&topics, &two, "a");
    topics_unsubscribe(&topics, &two, "a");
    cr_assert_eq(publish("a"), 1);
    subscriber_end(&topics, &one);
    cr_assert_eq(publish("a"), 0);
    subscriber_end(&topics, &two);
    cr_assert_not(topics_interest(&topics, &(struct topic_set){{0}}));
    cr_assert_null(topics.topics, "a topic without subscribers is forgotten");
}

Test(topics, list_each_subscriber_with_news_once)
{
    topics_subscribe(&topics, &one, "a");
    topics_subscribe(&topics, &two, "b");
    cr_assert_null(topics_next(&topics));
    for (int i = 0; i < 3; i++)
        publish("a"), publish("b");
    cr_assert_eq(topics_next(&topics), &one);
    publish("a");
    cr_assert_eq(topics_next(&topics), &two);
    cr_assert_eq(topics_next(&topics), &one, "again, as more has come since");
    cr_assert_null(topics_next(&topics));
    publish("b");
    subscriber_end(&topics, &two);
    cr_assert_null(topics_next(&topics), "it is told nothing any more");
    subscriber_end(&topics, &one);
}

Test(topics, a_full_outbox_is_news_too)
{
    topics_subscribe(&topics, &one, "a");
    int told = 0, published = 0;
    while (!outbox_is_overrun(&one.outbox)) {
        told += publish("a");
        published++;
        cr_assert_lt(published, 1000);
    }
    cr_assert_eq(told, published - 1);
    cr_assert_eq(topics_next(&topics), &one);
    publish("a");
    cr_assert_eq(topics_next(&topics), &one);
    subscriber_end(&topics, &one);
    subscriber_end(&topics, &two);
}

Test(topics, a_subscriber_has_so_many_at_most)
{
    char name[TOPIC_NAME_MAX + 1];
    for (int i = 0; i < SUBSCRIPTIONS_MAX; i++) {
        snprintf(name, sizeof name, "topic-%d", i);
        cr_assert_eq(topics_subscribe(&topics, &one, name), 0);
    }
    cr_assert_eq(topics_subscribe(&topics, &one, "another"), -EMFILE);
    cr_assert_eq(topics_subscribe(&topics, &one, "topic-1"), 0);
    topics_unsubscribe(&topics, &one, "topic-1");
    cr_assert_eq(topics_subscribe(&topics, &one, "another"), 0);
    subscriber_end(&topics, &one);
    subscriber_end(&topics, &two);
}

/* --- the ring ---------------------------------------------------------------------------------- */

/* A frame of `payload` bytes that holds its number. */
static void put(struct news_ring *ring, int number, size_t payload)
{
    struct publication news = {.topic = "t", .frame = frame_of(payload)};
    memcpy(news.frame->bytes + news.frame->len - payload, &number, sizeof number);
    cr_assert(news_ring_put(ring, &news));
    frame_drop(news.frame);
}

/* Read one: its number, or -1. All bytes behind that must be as they were put. */
static int take(struct news_reader *reader, int64_t *lost, size_t payload)
{
    struct publication news;
    int number;
    if (!news_reader_next(reader, &news, lost))
        return -1;
    const char *begin = news.frame->bytes + news.frame->len - payload;
    memcpy(&number, begin, sizeof number);
    for (size_t i = sizeof number; i < payload; i++)
        cr_assert_eq(begin[i], 'x');
    cr_assert_str_eq(news.topic, "t");
    frame_drop(news.frame);
    return number;
}

/* In a child, for a reader skips what its own process has put. */
static pid_t put_many(struct news_ring *ring, int begin, int end, size_t payload)
{
    pid_t child = fork();
    if (child)
        return child;
    for (int i = begin; i < end; i++)
        put(ring, i, payload);
    _exit(0);
}

Test(news_ring, tells_other_processes_in_order)
{
    struct news_ring *ring = news_ring_new(1);
    struct news_reader reader, late;
    int64_t lost = 0;
    news_reader_init(&reader, ring, NULL);
    put(ring, 77, 100); /* its own */
    waitpid(put_many(ring, 0, 500, 100), NULL, 0);
    news_reader_init(&late, ring, NULL);
    for (int i = 0; i < 500; i++)
        cr_assert_eq(take(&reader, &lost, 100), i);
    cr_assert_eq(take(&reader, &lost, 100), -1);
    cr_assert_eq(take(&late, &lost, 100), -1);
    cr_assert_eq(lost, 0);
}

Test(news_ring, a_reader_that_is_too_slow_learns_how_much_it_has_lost)
{
    enum { PAYLOAD = 3000, NEWS = 5000 }; /* more than three times the ring */
    struct news_ring *ring = news_ring_new(1);
    struct news_reader reader;
    int64_t lost = 0;
    int number, last = -1, read = 0;
    news_reader_init(&reader, ring, NULL);
    waitpid(put_many(ring, 0, NEWS, PAYLOAD), NULL, 0);
    while ((number = take(&reader, &lost, PAYLOAD)) >= 0) {
        cr_assert(last < 0 || number == last + 1);
        last = number;
        read++;
    }
    cr_assert_eq(last, NEWS - 1);
    cr_assert_gt(read, NEWS_RING_BYTES / PAYLOAD / 2);
    cr_assert_eq(lost + read, NEWS);
}

Test(news_ring, refuses_what_would_fill_it)
{
    struct publication news = {.topic = "t", .frame = frame_of(NEWS_RING_BYTES / 2)};
    cr_assert_not(news_ring_put(news_ring_new(1), &news));
    frame_drop(news.frame);
}

/* Killed at any point, also with the lock: the others go on, and no news is torn. */
Test(news_ring, survives_the_death_of_a_writer)
{
    struct news_ring *ring = news_ring_new(1);
    struct news_reader reader;
    int64_t lost = 0;
    news_reader_init(&reader, ring, NULL);
    for (int round = 0; round < 60; round++) {
        pid_t victim = put_many(ring, 1 << 20, 2 << 20, 2000);
        usleep((useconds_t)(1000 + round * 37));
        kill(victim, SIGKILL);
        waitpid(victim, NULL, 0);
        waitpid(put_many(ring, round, round + 1, 2000), NULL, 0);
        int number, last = -1;
        while ((number = take(&reader, &lost, 2000)) >= 0)
            last = number;
        cr_assert_eq(last, round);
    }
}

static struct topic_set set_of(const char *topic)
{
    struct topic_set set = {{0}};
    unsigned bit = topic_bit(topic);
    set.bits[bit / 64] |= UINT64_C(1) << bit % 64;
    return set;
}

Test(topics, know_what_they_are_interested_in)
{
    struct topic_set set;
    cr_assert_not(topics_interest(&topics, &set));
    topics_subscribe(&topics, &one, "a");
    topics_subscribe(&topics, &two, "b");
    cr_assert(topics_interest(&topics, &set));
    cr_assert(topic_set_has(&set, topic_bit("a")) && topic_set_has(&set, topic_bit("b")));
    int others = 0;
    for (unsigned bit = 0; bit < TOPIC_BITS; bit++)
        others += topic_set_has(&set, bit);
    cr_assert_eq(others, 2);
    topics_unsubscribe(&topics, &one, "a");
    cr_assert(topics_interest(&topics, &set));
    cr_assert_not(topic_set_has(&set, topic_bit("a")));
    subscriber_end(&topics, &one);
    subscriber_end(&topics, &two);
}

Test(topics, spread_over_the_bits)
{
    int used[TOPIC_BITS] = {0}, most = 0;
    for (int i = 0; i < 1000; i++) {
        char name[TOPIC_NAME_MAX + 1];
        snprintf(name, sizeof name, "room%d", i);
        int times = ++used[topic_bit(name)];
        most = times > most ? times : most;
    }
    cr_assert_lt(most, 20, "%d of 1000 have one bit", most);
}

Test(news_ring, passes_over_what_is_of_no_interest)
{
    struct news_ring *ring = news_ring_new(1);
    struct topic_set interest = set_of("another");
    struct news_reader reader;
    int64_t lost = 0;
    news_reader_init(&reader, ring, &interest);
    waitpid(put_many(ring, 0, 10, 100), NULL, 0);
    cr_assert_eq(take(&reader, &lost, 100), -1);
    reader.interest = set_of("t");
    waitpid(put_many(ring, 10, 11, 100), NULL, 0);
    cr_assert_eq(take(&reader, &lost, 100), 10);
    cr_assert_eq(lost, 0);
}

Test(news_ring, names_those_that_listen)
{
    struct news_ring *ring = news_ring_new(2);
    struct topic_set a = set_of("a"), b = set_of("b");
    int place = 0;
    cr_assert_eq(news_ring_listener(ring, "a", &place), 0);
    cr_assert(news_ring_listen(ring, &a));
    pid_t child = fork();
    if (!child)
        _exit(news_ring_listen(ring, &a) ? 0 : 1);
    int status;
    waitpid(child, &status, 0);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    pid_t third = fork();
    if (!third)
        _exit(news_ring_listen(ring, &a) ? 0 : 1);
    waitpid(third, &status, 0);
    cr_assert_eq(WEXITSTATUS(status), 1, "both places are taken");
    place = 0;
    cr_assert_eq(news_ring_listener(ring, "a", &place), getpid());
    cr_assert_eq(news_ring_listener(ring, "a", &place), child);
    cr_assert_eq(news_ring_listener(ring, "a", &place), 0);
    cr_assert(news_ring_listen(ring, &b), "again, with another topic");
    place = 0;
    cr_assert_eq(news_ring_listener(ring, "a", &place), child);
    news_ring_leave(ring, child); /* as its parent does */
    place = 0;
    cr_assert_eq(news_ring_listener(ring, "b", &place), getpid());
    cr_assert_eq(news_ring_listener(ring, "b", &place), 0);
}
