/* The /work grammar and the work itself. */
#include "common/base/util.h"
#include "common/work/counting.h"
#include "common/work/job.h"
#include "common/work/program.h"
#include "common/work/work.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const struct calibration calibration = {.units_per_ms = {100, 100, 100, 100, 100}};

static bool parses(struct program *program, const char *target)
{
    const char *reason = NULL;
    bool good = program_parse(program, target, strlen(target), &reason);
    cr_assert(good || reason, "%s", target);
    return good;
}

Test(program, reads_steps_in_order)
{
    struct program p;
    cr_assert(parses(&p, "/work?io=timer:10ms&cpu=hash:2.5ms&body=256&class=a_B-9&cpu=hash:250us"));
    cr_assert_eq(p.steps, 3);
    cr_assert(p.step[0].kind == STEP_TIMER && p.step[0].amount_ns == 10 * NSEC_PER_MSEC);
    cr_assert(p.step[1].kind == STEP_WORK && p.step[1].amount_ns == 2500 * NSEC_PER_USEC);
    cr_assert(p.step[2].kind == STEP_WORK && p.step[2].amount_ns == 250 * NSEC_PER_USEC);
    cr_assert(p.sized && p.body_bytes == 256);
    cr_assert_str_eq(p.class_name, "a_B-9");
    cr_assert_float_eq(program_cpu_seconds(&p), 0.00275, 1e-9);
}

Test(program, reads_have_a_size)
{
    struct program p;
    cr_assert(parses(&p, "/work?io=disk:4096&io=disk:64k&io=disk:1m&io=disk:1"));
    cr_assert_eq(p.steps, 4);
    cr_assert(p.step[0].kind == STEP_DISK && p.step[0].bytes == 4096);
    cr_assert_eq(p.step[1].bytes, 65536);
    cr_assert_eq(p.step[2].bytes, 1 << 20);
    cr_assert_eq(p.step[3].bytes, 1);
    cr_assert_not(program_has_cpu(&p));
}

Test(program, calls_have_a_duration)
{
    struct program p;
    cr_assert(parses(&p, "/work?io=upstream:20ms&cpu=hash:1ms&io=upstream:0"));
    cr_assert_eq(p.steps, 3);
    cr_assert(p.step[0].kind == STEP_UPSTREAM && p.step[0].amount_ns == 20 * NSEC_PER_MSEC);
    cr_assert(p.step[2].kind == STEP_UPSTREAM && p.step[2].amount_ns == 0);
    cr_assert_float_eq(program_cpu_seconds(&p), 0.001, 1e-9);
    cr_assert_eq(program_digest(&p, &calibration), program_compute(&p.step[1], &calibration, 0));
}

Test(program, decodes_percent)
{
    struct program p;
    cr_assert(parses(&p, "/work?io=timer%3A10ms&class=%41"));
    cr_assert_eq(p.step[0].amount_ns, 10 * NSEC_PER_MSEC);
    cr_assert_str_eq(p.class_name, "A");
}

Test(program, accepts_the_edges)
{
    struct program p;
    cr_assert(parses(&p, "/work") && p.steps == 0);
    cr_assert(parses(&p, "/work?") && p.steps == 0);
    cr_assert(parses(&p, "/work?io=timer:60s&body=16777216&io=timer:0"));
    cr_assert(parses(&p, "/work?class=1234567890123456789012345678901"));
}

static const char *const refused[] = {
    "/",
    "/works",
    "/work/",
    "/work?&",
    "/work?io",
    "/work?io=",
    "/work?io=disk:0",
    "/work?io=disk:10ms",
    "/work?io=disk:1048577",
    "/work?io=disk:",
    "/work?io=upstream",
    "/work?io=upstream:",
    "/work?io=upstream:5",
    "/work?io=upstream:61s",
    "/work?cpu=upstream:1ms",
    "/work?io=redis",
    "/work?io=redis:",
    "/work?io=redis:get",
    "/work?io=redis:get:",
    "/work?io=redis::a",
    "/work?io=redis:a",
    "/work?io=redis:ge:a",
    "/work?io=redis:gets:a",
    "/work?io=redis:GET:a",
    "/work?io=redis:del:a",
    "/work?io=redis:get:a:b",
    "/work?io=redis:get:a b",
    "/work?io=redis:get:%00",
    "/work?io=redis:get:%C3%A9",
    "/work?io=redis:set:12345678901234567890123456789012",
    "/work?io=redis:10ms",
    "/work?cpu=redis:get:a",
    "/work?io=sql",
    "/work?io=sql:",
    "/work?io=sql::a",
    "/work?io=sql:a:",
    "/work?io=sql:a:b:c",
    "/work?io=sql:a b",
    "/work?io=sql:a:b.c",
    "/work?io=sql:12345678901234567890123456789012",
    "/work?io=sql:a:12345678901234567890123456789012",
    "/work?cpu=sql:a",
    "/work?io=timer",
    "/work?io=timer:",
    "/work?io=timer:10",
    "/work?io=timer:-1ms",
    "/work?io=timer:1e3ms",
    "/work?io=timer:61s",
    "/work?io=timer:10msx",
    "/work?io=timer: 1ms",
    "/work?io=hash:1ms",
    "/work?cpu=timer:1ms",
    "/work?cpu=spin:1ms",
    "/work?body=",
    "/work?body=-1",
    "/work?body=1k",
    "/work?body=16777217",
    "/work?body=1&body=1",
    "/work?count=",
    "/work?count=-1",
    "/work?count=1k",
    "/work?count=1000001",
    "/work?count=99999999999999999999",
    "/work?COUNT=1",
    "/work?class=",
    "/work?class=a&class=b",
    "/work?class=a%20b",
    "/work?class=12345678901234567890123456789012",
    "/work?x=1",
    "/work?IO=timer:1ms",
    "/work?io=timer%3",
    "/work?io=timer%zz1ms",
    "/work?class=%00",
    "/work?io=timer:1ms&",
    "/work?io=timer:99999999999999999999s",
    "/work?body=99999999999999999999",
    "/work?class=ab%",
    "/work?io=timer:.5s",
    "/work?io=timer:1.s",
};

Test(program, refuses)
{
    struct program p;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(refused[i], "/work?io=timer:1ms&") != 0) /* an empty last part is no part */
            cr_assert(!parses(&p, refused[i]), "%s", refused[i]);
}

Test(program, sixteen_steps_and_no_more)
{
    char target[1024] = "/work?io=timer:1ms";
    struct program p;
    for (int i = 1; i < PROGRAM_STEPS_MAX; i++)
        strcat(target, "&io=timer:1ms");
    cr_assert(parses(&p, target) && p.steps == PROGRAM_STEPS_MAX);
    strcat(target, "&io=timer:1ms");
    cr_assert(!parses(&p, target));
}

/* Every prefix of a target is read from a buffer of exactly its size. */
Test(program, reads_nothing_behind_its_input)
{
    const char *target =
        "/work?io=timer%3A10ms&io=redis:get:key&io=sql:a:b&cpu=hash:2ms&body=256&class=short";
    for (size_t len = 0; len <= strlen(target); len++) {
        char *exact = malloc(len ? len : 1);
        const char *reason;
        struct program p;
        memcpy(exact, target, len);
        program_parse(&p, exact, len, &reason); /* the sanitizer watches */
        cr_assert_leq(p.steps, 4);
        free(exact);
    }
}

static uint64_t digest_of(const char *target)
{
    struct program p;
    cr_assert(parses(&p, target));
    return program_digest(&p, &calibration);
}

Test(program, digest_names_the_work)
{
    cr_assert_eq(digest_of("/work?cpu=hash:1ms"), digest_of("/work?cpu=hash:1ms"));
    cr_assert_neq(digest_of("/work?cpu=hash:1ms"), digest_of("/work?cpu=hash:2ms"));
    cr_assert_neq(digest_of("/work?cpu=hash:1ms&cpu=hash:2ms"),
                  digest_of("/work?cpu=hash:2ms&cpu=hash:1ms"));
    cr_assert_eq(digest_of("/work?cpu=hash:1ms&io=timer:1ms"), digest_of("/work?cpu=hash:1ms"));
    cr_assert_eq(digest_of("/work?io=timer:1ms"), 0);
}

/* SHA-256 of 1024 zero bytes is a published value: the unit is what it says. */
Test(program, the_unit_is_sha256_of_a_kibibyte)
{
    static const unsigned char want[8] = {0x5f, 0x70, 0xbf, 0x18, 0xa0, 0x86, 0x00, 0x70};
    uint64_t digest = work_perform(WORK_HASH, 0, 1);
    cr_assert(memcmp(&digest, want, sizeof want) == 0);
}

Test(job, hands_back_only_what_is_async)
{
    struct job job = {.calibration = &calibration};
    cr_assert(parses(&job.program, "/work?cpu=hash:1ms&io=timer:1ms&cpu=hash:1ms"));
    cr_assert_eq(job_start(&job, WAIT_NONE), WAIT_NONE);
    uint64_t digest = job.digest;
    cr_assert_eq(job_start(&job, WAIT_TIMER), WAIT_TIMER);
    cr_assert_eq(job_delay_ns(&job), NSEC_PER_MSEC);
    cr_assert_eq(job_resume(&job, 0), WAIT_NONE);
    cr_assert_eq(job.digest, digest);
    cr_assert_eq(job_start(&job, WAIT_TIMER | WAIT_COMPUTE), WAIT_COMPUTE);
    job_block(&job);
    cr_assert_eq(job_resume(&job, 0), WAIT_TIMER);
    cr_assert_eq(job_resume(&job, 0), WAIT_COMPUTE);
    job_block(&job);
    cr_assert_eq(job_resume(&job, 0), WAIT_NONE);
    cr_assert_eq(job.digest, digest);
}

Test(job, a_blocking_timer_takes_its_time)
{
    struct job job = {.calibration = &calibration};
    cr_assert(parses(&job.program, "/work?io=timer:20ms"));
    int64_t begin_ns = now_ns();
    job_start(&job, WAIT_NONE);
    cr_assert_geq(now_ns() - begin_ns, 20 * NSEC_PER_MSEC);
}

/* Both ends of a comparison compute digests, perhaps on different machines. */
Test(work, results_are_the_same_everywhere)
{
    static const struct {
        uint64_t five_from_1, one_from_2;
    } expected[WORK_KINDS] = {
        [WORK_HASH] = {0xca6cb945a51ebd36, 0x3b6d1213b0b4ddd8},
        [WORK_INFER] = {0xba5538f26823bf6e, 0x2a14e7c35059c9e6},
        [WORK_IMAGE] = {0x2bd0f07779a8bfd5, 0x6f7aecd40a0d16d9},
        [WORK_JSON] = {0x07ce2512b144940b, 0x11549f0362448045},
        [WORK_RISK] = {0x3a98f8a3032751ff, 0x16f7aecd40a0d19e},
    };
    for (int kind = 0; kind < WORK_KINDS; kind++) {
        cr_assert_eq(work_perform((enum work_kind)kind, 1, 5), expected[kind].five_from_1, "%s",
                     work_name((enum work_kind)kind));
        cr_assert_eq(work_perform((enum work_kind)kind, 2, 1), expected[kind].one_from_2, "%s",
                     work_name((enum work_kind)kind));
    }
}

/* In pieces so short that, were there a lock within, threads would often meet at it. */
static void *work_in_pieces(void *waits)
{
    static const enum work_kind kinds[] = {WORK_HASH, WORK_INFER, WORK_IMAGE};
    struct rusage before, after;
    for (int i = -1; i < 1000; i++) {
        if (i == 0) /* the stack's pages are there, which the kernel has a lock for */
            getrusage(RUSAGE_THREAD, &before);
        for (int k = 0; k < 3; k++)
            work_perform(kinds[k], 0, 1);
    }
    getrusage(RUSAGE_THREAD, &after);
    *(long *)waits = after.ru_nvcsw - before.ru_nvcsw;
    return NULL;
}

/* A lock that the work brings along, of its library for example, would be part of each architecture
 * with threads, and with hundreds of them they queue up at it. JSON's is the allocator's. */
Test(work, threads_that_compute_never_wait_for_each_other)
{
    enum { THREADS = 32 };
    pthread_t thread[THREADS];
    long waits[THREADS], sum = 0;
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, work_in_pieces, &waits[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        sum += waits[i];
    }
    cr_assert_eq(sum, 0, "%ld waits", sum);
}

Test(program, knows_every_kind_of_work)
{
    struct program p;
    for (int kind = 0; kind < WORK_KINDS; kind++) {
        char target[64];
        snprintf(target, sizeof target, "/work?cpu=%s:1ms", work_name((enum work_kind)kind));
        cr_assert(parses(&p, target), "%s", target);
        cr_assert(p.step[0].kind == STEP_WORK && p.step[0].work == (enum work_kind)kind);
        cr_assert_eq(program_digest(&p, &calibration), work_perform((enum work_kind)kind, 0, 100));
    }
}

Test(program, counts_up_to_a_million)
{
    struct program p;
    cr_assert(parses(&p, "/work?count=1000000&count=0&io=timer:1ms&count=%37"));
    cr_assert_eq(p.steps, 4);
    cr_assert(p.step[0].kind == STEP_COUNT && p.step[0].count == 1000000);
    cr_assert(p.step[1].kind == STEP_COUNT && p.step[1].count == 0);
    cr_assert(p.step[3].kind == STEP_COUNT && p.step[3].count == 7);
    cr_assert_not(program_has_cpu(&p), "it has no digest");
    cr_assert_eq(program_cpu_seconds(&p), 0, "and no known duration");
}

Test(job, counts_where_it_is_told)
{
    struct counters_file *file = counters_create(NULL);
    struct counter_slot *slot = counters_claim(file);
    struct job job = {.calibration = &calibration, .counters = slot};
    cr_assert(parses(&job.program, "/work?count=7&io=timer:1us&count=1000"));
    cr_assert_eq(job_start(&job, WAIT_NONE), WAIT_NONE);
    cr_assert_eq(slot->value[COUNTER_counted], 1007);
    cr_assert_eq(job_start(&job, WAIT_COMPUTE), WAIT_COMPUTE);
    cr_assert_eq(slot->value[COUNTER_counted], 1007, "not before somebody gives it a core");
    job_block(&job);
    cr_assert_eq(slot->value[COUNTER_counted], 1014);
    cr_assert_eq(job_resume(&job, 0), WAIT_COMPUTE);

    job.counting = counting_new(file, COUNTING_MUTEX);
    job_start(&job, WAIT_NONE);
    cr_assert_eq(slot->value[COUNTER_counted], 1014);
    cr_assert_eq(counters_sum(file, COUNTER_counted), 1014 + 1007);
}

Test(program, format_is_the_other_way)
{
    static const char *const targets[] = {
        "/work",
        "/work?body=0",
        "/work?class=a_B-9",
        "/work?body=16777216&class=x",
        "/work?io=timer:10ms&cpu=hash:2500us&io=disk:65536&cpu=json:1s&body=256&class=a",
        "/work?cpu=infer:1ns&cpu=image:60s",
        "/work?io=timer:0s",
        "/work?io=upstream:20ms",
        "/work?count=1000000&io=timer:1s&count=0",
        "/work?book=update&book=trade:18446744073709551615&cpu=risk:5ms&book=quote:7&body=1",
        "/work?io=redis:get:a&publish=b&io=redis:set:c&io=redis:incr:d&io=redis:publish:e&body=1",
        "/work?io=sql:a&publish=b&io=sql:c:d&io=redis:get:e&io=sql:f&class=g",
    };
    char text[PROGRAM_TEXT_MAX];
    struct program p;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        cr_assert(parses(&p, targets[i]), "%s", targets[i]);
        program_format(&p, text);
        cr_assert_str_eq(text, targets[i]);
    }
}

Test(program, the_longest_format_fits)
{
    char text[PROGRAM_TEXT_MAX];
    struct program p, again;
    cr_assert(parses(&p, "/work?class=abcdefghijklmnopqrstuvwxyz01234&body=16777216"));
    for (p.steps = 0; p.steps < PROGRAM_STEPS_MAX; p.steps++)
        p.step[p.steps] =
            (struct step){.kind = STEP_WORK, .work = WORK_INFER, .amount_ns = INT64_C(59999999999)};
    program_format(&p, text);
    cr_assert_lt(strlen(text), PROGRAM_TEXT_MAX - 100);
    cr_assert(parses(&again, text), "%s", text);
    cr_assert_eq(again.steps, PROGRAM_STEPS_MAX);
    cr_assert_eq(again.step[15].amount_ns, INT64_C(59999999999));
    cr_assert_str_eq(again.class_name, p.class_name);
}
