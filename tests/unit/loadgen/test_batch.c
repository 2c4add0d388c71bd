/* Tests of loadgen/worker/batch.c: messages that go out with one send. */
#include "loadgen/worker/batch.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { TIME_AT = 2 };

static struct arrival arrival_of(int class, int64_t ns)
{
    return (struct arrival){.intended_ns = ns, .class = class};
}

/* Class 0 has a moment, class 2 has none, class 3 is `large` bytes long. */
static struct batch *prepared(size_t large)
{
    static char filler[60000];
    struct batch *b = calloc(1, sizeof *b);

    memset(filler, 'f', sizeof filler);
    batch_prepare(b, 0, "<<00000000000000000000>>", 24, TIME_AT);
    batch_prepare(b, 2, "[plain]", 7, 0);
    if (large > 0)
        batch_prepare(b, 3, filler, large, 0);
    return b;
}

static void discard(struct batch *b)
{
    batch_free(b);
    free(b);
}

static bool add(struct batch *b, char *out, size_t *len, int class, int64_t ns)
{
    struct arrival arrival = arrival_of(class, ns);

    return batch_add(b, out, len, &arrival);
}

Test(batch, writes_each_message_with_its_moment)
{
    static char out[BATCH_BYTES];
    struct batch *b = prepared(0);
    size_t len = 0;

    batch_begin(b);
    cr_assert(add(b, out, &len, 0, 123));
    cr_assert(add(b, out, &len, 2, 124));
    cr_assert(add(b, out, &len, 0, 9999999999));
    cr_assert_eq(len, 55);
    cr_assert_eq(memcmp(out, "<<00000000000000000123>>[plain]<<00000000009999999999>>", len), 0);
    cr_assert_eq(memcmp(b->form[0].bytes, "<<00000000000000000000>>", 24), 0);
    discard(b);
}

Test(batch, is_full_at_a_number_of_messages)
{
    static char out[BATCH_BYTES];
    struct batch *b = prepared(0);
    size_t len = 0;
    int count = 0;

    batch_begin(b);
    while (count < 1000 && add(b, out, &len, 2, count))
        count++;
    cr_assert_eq(count, BATCH_MESSAGES);
    cr_assert_eq(len, (size_t)(7 * BATCH_MESSAGES));
    discard(b);
}

Test(batch, is_full_at_a_number_of_bytes_and_takes_one_of_any_size)
{
    static char out[60000 + 100];
    struct batch *b = prepared(60000);
    size_t len = 0;

    batch_begin(b);
    cr_assert_eq(batch_room(60000), 60000);
    cr_assert_eq(batch_room(10), BATCH_BYTES);
    cr_assert(add(b, out, &len, 3, 1));
    cr_assert_not(add(b, out, &len, 2, 2));
    cr_assert_eq(len, 60000);
    discard(b);

    b = prepared(20000);
    len = 0;
    batch_begin(b);
    cr_assert(add(b, out, &len, 3, 1));
    cr_assert_not(add(b, out, &len, 3, 2), "two of them are more than a batch has room for");
    cr_assert(add(b, out, &len, 2, 2));
    cr_assert_eq(len, 20007);
    discard(b);
}

/* Whatever the socket takes, each message is good once, and as soon as its last byte is written. */
Test(batch, tells_messages_that_are_written_at_every_cut)
{
    static char out[BATCH_BYTES];
    struct batch *b = prepared(0);

    for (size_t cut = 0; cut <= 38; cut++) {
        const struct batch_message *message;
        size_t len = 0;
        int first = 0, all = 0;

        batch_begin(b);
        add(b, out, &len, 2, 0);
        add(b, out, &len, 0, 1);
        add(b, out, &len, 2, 2);
        for (; (message = batch_written(b, cut)); first++)
            cr_assert_eq(message->arrival.intended_ns, first);
        cr_assert_eq(first, (cut >= 7) + (cut >= 31) + (cut >= 38));
        for (all = first; (message = batch_written(b, len)); all++)
            cr_assert_eq(message->arrival.intended_ns, all);
        cr_assert_eq(all, 3);
    }
    discard(b);
}

Test(batch, gives_back_what_is_not_written)
{
    static char out[BATCH_BYTES];
    struct batch *b = prepared(0);
    size_t len = 0;

    batch_begin(b);
    for (int i = 0; i < 4; i++)
        add(b, out, &len, 2, i);
    cr_assert_not_null(batch_written(b, 13));
    cr_assert_null(batch_written(b, 13));
    for (int i = 1; i < 4; i++)
        cr_assert_eq(batch_unwritten(b)->arrival.intended_ns, i);
    cr_assert_null(batch_unwritten(b));
    cr_assert_eq(b->count, 0);
    discard(b);
}
