/* The small parts: text to numbers, options, counters, queue, timers. */
#include "common/base/counters.h"
#include "common/base/options.h"
#include "common/base/queue.h"
#include "common/base/timers.h"
#include "common/base/util.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

Test(util, durations)
{
    static const struct {
        const char *text;
        int64_t ns; /* -1: refused */
    } cases[] = {{"10ms", 10000000},
                 {"250us", 250000},
                 {"1.5s", 1500000000},
                 {"2m", 120000000000},
                 {"1h", 3600000000000},
                 {"7ns", 7},
                 {"0", 0},
                 {"0.001ms", 1000},
                 {"", -1},
                 {"10", -1},
                 {"ms", -1},
                 {"-1ms", -1},
                 {"1 ms", -1},
                 {"1msx", -1},
                 {"1e3ms", -1},
                 {"inf", -1},
                 {"25h", -1},
                 {"0x1s", -1},
                 {".5s", -1},
                 {"1.s", -1},
                 {"99999999999999999h", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ns = -1;
        bool good = parse_duration(cases[i].text, strlen(cases[i].text), &ns);
        cr_assert_eq(good ? ns : -1, cases[i].ns, "<%s>: %lld", cases[i].text, (long long)ns);
    }
}

Test(util, sizes_and_integers)
{
    uint64_t bytes;
    long n;
    cr_assert(parse_size("64k", 3, &bytes) && bytes == 65536);
    cr_assert(parse_size("1.5m", 4, &bytes) && bytes == 1572864);
    cr_assert(!parse_size("64kb", 4, &bytes) && !parse_size("", 0, &bytes));
    cr_assert(parse_integer("-5", -10, 10, &n) && n == -5);
    cr_assert(!parse_integer("11", -10, 10, &n) && !parse_integer("1x", 0, 10, &n));
    cr_assert(!parse_integer("", 0, 10, &n) && !parse_integer(" 1", 0, 10, &n));
}

static int run_options(int argc, char **argv, int *port, int *mode, int64_t *time_ns)
{
    const struct option_row rows[] = {
        {"port", 'p', OPTION_INT, port, "PORT", "a port", 0, 65535},
        {"mode", 0, OPTION_CHOICE, mode, "slow|fast", "how", 0, 0},
        {"time", 't', OPTION_DURATION, time_ns, "TIME", "how long", 0, 0},
        {0},
    };
    optind = 1;
    return options_parse(&(struct options){"test", "URL", "A test.", rows, NULL}, argc, argv);
}

Test(options, fill_their_variables)
{
    int port = 1, mode = 0;
    int64_t time_ns = 0;
    char *argv[] = {"test", "-p", "80", "--mode=fast", "url", "--time", "2s", NULL};
    int operand = run_options(7, argv, &port, &mode, &time_ns);
    cr_assert_eq(port, 80);
    cr_assert_eq(mode, 1);
    cr_assert_eq(time_ns, 2 * NSEC_PER_SEC);
    cr_assert_eq(operand, 6);
    cr_assert_str_eq(argv[operand], "url");
}

/* A program's own option of the same name takes the place of the common one, in --help too. */
Test(options, ones_own_come_first)
{
    char text[4096] = "";
    int own = 1, common = 2, pipes[2];
    const struct option_row own_rows[] = {
        {"workers", 'w', OPTION_INT, &own, "N", "processes", 1, 9}, {0}};
    const struct option_row common_rows[] = {
        {"workers", 'w', OPTION_INT, &common, "N", "threads", 1, 9}, {0}};
    const struct options options = {"test", "", "A test.", own_rows, common_rows};
    optind = 1;
    options_parse(&options, 3, (char *[]){"test", "--workers", "7", NULL});
    cr_assert(own == 7 && common == 2);

    cr_assert_eq(pipe(pipes), 0);
    if (fork() == 0) {
        dup2(pipes[1], STDOUT_FILENO);
        optind = 1;
        options_parse(&options, 2, (char *[]){"test", "--help", NULL});
    }
    wait(NULL);
    cr_assert_gt(read(pipes[0], text, sizeof text - 1), 0);
    cr_assert(strstr(text, "processes") && !strstr(text, "threads"), "%s", text);
}

Test(options, a_bad_value_dies_with_2, .exit_code = 2)
{
    int port = 1, mode = 0;
    int64_t time_ns = 0;
    char *argv[] = {"test", "-p", "65536", NULL};
    run_options(3, argv, &port, &mode, &time_ns);
}

Test(options, an_unknown_option_dies_with_2, .exit_code = 2)
{
    int port = 1, mode = 0;
    int64_t time_ns = 0;
    char *argv[] = {"test", "--nonsense", NULL};
    run_options(2, argv, &port, &mode, &time_ns);
}

Test(counters, sum_over_forked_processes)
{
    struct counters_file *file = counters_create(NULL);
    for (int i = 0; i < 100; i++) {
        if (fork() == 0) {
            struct counter_slot *slot = counters_claim(file); /* 100 workers share 64 slots */
            for (int n = 0; n < 1000; n++)
                count_add(slot, COUNTER_requests, 1);
            _exit(0);
        }
    }
    while (wait(NULL) > 0) {
    }
    cr_assert_eq(counters_sum(file, COUNTER_requests), 100000);
    cr_assert_eq(counters_sum(file, COUNTER_closed), 0);
}

Test(counters, a_slot_of_ones_own_is_nobody_elses)
{
    struct counters_file *file = counters_create(NULL);
    struct counter_slot *first = counters_claim(file), *last = first;
    for (int n = 1; n < COUNTER_SLOTS; n++) {
        struct counter_slot *slot = counters_claim_alone(file);
        cr_assert_eq(slot, last + 1);
        last = slot;
    }
    cr_assert_null(counters_claim_alone(file));
    cr_assert_null(counters_claim_alone(file));
    cr_assert_eq(counters_claim(file), first, "whoever can share gets one");
}

Test(counters, an_observer_reads_the_file)
{
    char path[] = "/tmp/archbench-counters-XXXXXX", text[2048];
    close(mkstemp(path));
    struct counters_file *file = counters_create(path);
    const struct counters_file *seen = counters_open(path);
    unlink(path);
    count_add(counters_claim(file), COUNTER_shed, 7);
    cr_assert_eq(counters_sum(seen, COUNTER_shed), 7);
    text[counters_json(seen, text, sizeof text)] = 0;
    cr_assert(strstr(text, "\"shed\":7"));
}

Test(counters, an_architecture_has_some_of_its_own)
{
    const struct own_counter counter = {"cold_starts", "counter", "Starts.", 7},
                             gauge = {"dead_letters", "gauge", "Kept.", -1};
    char text[200];
    text[own_counter_metrics(&counter, text, sizeof text)] = 0;
    cr_assert_str_eq(text, "# HELP archbench_cold_starts_total Starts.\n"
                           "# TYPE archbench_cold_starts_total counter\n"
                           "archbench_cold_starts_total 7\n");
    text[own_counter_metrics(&gauge, text, sizeof text)] = 0;
    cr_assert_str_eq(text, "# HELP archbench_dead_letters Kept.\n"
                           "# TYPE archbench_dead_letters gauge\narchbench_dead_letters -1\n");
    cr_assert_eq(own_counter_metrics(&gauge, text, 20), 0);
}

/* As short as a piece may be, with values as long as they can become. */
Test(counters, a_report_comes_in_whole_pieces)
{
    struct counters_file *file = counters_create(NULL);
    struct counters_report report;
    char piece[COUNTERS_PIECE_MIN], text[16384] = "", line[64];
    size_t n, len = 0, pieces = 0;
    for (int i = 0; i < COUNTERS; i++)
        file->slot[i].value[i] = INT64_MIN + i;
    size_t promised = counters_report_begin(&report, file);
    count_add(counters_claim(file), COUNTER_requests, 1); /* too late for this report */
    for (; (n = counters_report_piece(&report, piece, sizeof piece)); pieces++) {
        cr_assert(n < sizeof piece && piece[n - 1] == '\n');
        cr_assert_eq(strncmp(piece, "# HELP archbench_", 17), 0);
        memcpy(text + len, piece, n);
        len += n;
    }
    cr_assert_eq(len, promised);
    cr_assert_gt(pieces, 3);
    for (int i = 0; i < COUNTERS; i++) {
        snprintf(line, sizeof line, " %lld\n", (long long)INT64_MIN + i);
        cr_assert(strstr(text, line), "%s", counter_name((enum counter)i));
    }
}

struct number {
    struct queue_item item;
    int value;
};

Test(queue, is_bounded_and_first_in_first_out)
{
    struct queue queue;
    struct number numbers[4];
    queue_init(&queue, 3, NULL);
    for (int i = 0; i < 3; i++) {
        numbers[i].value = i;
        cr_assert(queue_put(&queue, &numbers[i].item));
    }
    cr_assert(!queue_put(&queue, &numbers[3].item));
    for (int i = 0; i < 3; i++)
        cr_assert_eq(((struct number *)queue_take(&queue))->value, i);
    cr_assert_null(queue_poll(&queue));
}

Test(queue, takes_lower_ranks_first_and_equal_ones_in_order)
{
    static const int64_t ranks[] = {5, 1, INT64_MAX, 5, 1, 0, -7};
    static const int order[] = {6, 5, 1, 4, 0, 3, 2};
    struct queue queue;
    struct number numbers[7];
    queue_init(&queue, 7, NULL);
    for (int i = 0; i < 7; i++) {
        numbers[i].value = i;
        cr_assert(queue_put_ranked(&queue, &numbers[i].item, ranks[i]));
    }
    cr_assert(!queue_put_ranked(&queue, &numbers[0].item, -9));
    for (int i = 0; i < 7; i++)
        cr_assert_eq(((struct number *)queue_take(&queue))->value, order[i]);
    cr_assert_null(queue_poll(&queue));
}

static int untaken; /* items that nobody has taken yet */

static void *take_all(void *argument)
{
    long taken = 0;
    for (; queue_take(argument); taken++)
        __atomic_fetch_sub(&untaken, 1, __ATOMIC_RELAXED);
    return (void *)taken;
}

Test(queue, loses_nothing_between_threads)
{
    enum { TAKERS = 4, ITEMS = 20000 };
    struct queue queue;
    struct number *numbers = calloc(ITEMS, sizeof *numbers);
    pthread_t takers[TAKERS];
    long sum = 0;
    untaken = ITEMS;
    queue_init(&queue, 0, NULL);
    for (int i = 0; i < TAKERS; i++)
        pthread_create(&takers[i], NULL, take_all, &queue);
    for (int i = 0; i < ITEMS; i++)
        cr_assert(queue_put(&queue, &numbers[i].item));
    while (
        __atomic_load_n(&untaken, __ATOMIC_RELAXED)) /* dismissed takers would leave items behind */
        usleep(1000);
    queue_dismiss(&queue, TAKERS);
    for (int i = 0; i < TAKERS; i++) {
        void *taken;
        pthread_join(takers[i], &taken);
        sum += (long)taken;
    }
    cr_assert_eq(sum, ITEMS);
    free(numbers);
}

Test(queue, reports_the_longest_wait)
{
    struct queue queue;
    struct number number;
    queue_init(&queue, 0, NULL);
    cr_assert_eq(queue_wait_ns(&queue), 0);
    queue_put(&queue, &number.item);
    usleep(20000);
    cr_assert_geq(queue_wait_ns(&queue), 20 * NSEC_PER_MSEC); /* the one that still waits */
    queue_take(&queue);
    cr_assert_geq(queue_wait_ns(&queue), 20 * NSEC_PER_MSEC); /* the one that was taken */
    cr_assert_eq(queue_wait_ns(&queue), 0);
}

Test(timers, expire_in_order_whatever_was_removed)
{
    enum { N = 500 };
    struct timers timers;
    static struct timer timer[N];
    unsigned random = 7;
    timers_init(&timers);
    for (int i = 0; i < N; i++) {
        random = random * 1103515245 + 12345;
        timers_add(&timers, &timer[i], 1 + (random >> 8) % 1000);
    }
    for (int i = 0; i < N; i += 3)
        timers_remove(&timers, &timer[i]);
    timers_remove(&timers, &timer[0]); /* not waiting any more: nothing happens */
    int left = 0;
    int64_t last_ns = 0;
    for (struct timer *t; (t = timers_expire(&timers, 2000)); left++) {
        cr_assert_geq(t->deadline_ns, last_ns);
        cr_assert_neq((t - timer) % 3, 0);
        last_ns = t->deadline_ns;
    }
    cr_assert_eq(left, N - (N + 2) / 3);
    timers_free(&timers);
}

Test(timers, the_descriptor_tells_the_soonest)
{
    struct timers timers;
    struct timer late = {0}, soon = {0};
    timers_init(&timers);
    int64_t begin_ns = now_ns();
    timers_add(&timers, &late, begin_ns + NSEC_PER_SEC);
    timers_add(&timers, &soon, begin_ns + 20 * NSEC_PER_MSEC);
    struct pollfd pollfd = {.fd = timers.fd, .events = POLLIN};
    cr_assert_eq(poll(&pollfd, 1, 900), 1);
    cr_assert_geq(now_ns() - begin_ns, 20 * NSEC_PER_MSEC);
    cr_assert_eq(timers_expire(&timers, now_ns()), &soon);
    cr_assert_null(timers_expire(&timers, now_ns()));
    cr_assert_eq(poll(&pollfd, 1, 0), 0); /* set to the next, not readable any more */
    timers_free(&timers);
}
