#include "servers/serverless/pages.h"
#include "servers/serverless/attempts.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_METRICS, PAGE_FUNCTIONS, PAGE_DEAD_LETTERS, PAGE_REPLAY };
static const struct page pages[] = {[PAGE_METRICS] = {"/metrics", false},
                                    [PAGE_FUNCTIONS] = {"/functions", false},
                                    [PAGE_DEAD_LETTERS] = {"/dead-letters", false},
                                    [PAGE_REPLAY] = {"/dead-letters/replay", true},
                                    {NULL, false}};

void pages_init(struct platform *platform)
{
    static const struct own_counter own[] = {
#define X(name, type, help) {#name, #type, help, 0},
        ACCOUNT_LIST(X)
#undef X
            [OWN_DEAD_LETTERS] = {"dead_letters", "gauge", "Dead letters kept.", 0},
        [OWN_LOST] = {"dead_letters_lost", "counter", "Dead letters without room.", 0},
        [OWN_COUNTERS] = {0}};
    memcpy(platform->own, own, sizeof own);
    platform->server.service.own = platform->own;
    platform->server.service.pages = pages;
}

void pages_update_own(struct platform *platform)
{
    for (int i = 0; i < ACCOUNTS; i++)
        platform->own[i].value = (int64_t)functions_sum(&platform->functions, (enum account)i);
    platform->own[OWN_DEAD_LETTERS].value = platform->dead_letters.count;
    platform->own[OWN_LOST].value = platform->dead_letters.lost;
}

static void print_metrics(struct platform *platform, FILE *out)
{
    struct counters_report report;
    char text[COUNTERS_PIECE_MIN];
    size_t len;
    counters_report_begin(&report, platform->server.service.counters);
    while ((len = counters_report_piece(&report, text, sizeof text)))
        fwrite(text, 1, len, out);
    pages_update_own(platform);
    for (const struct own_counter *own = platform->own; own->name; own++) {
        len = own_counter_metrics(own, text, sizeof text);
        fwrite(text, 1, len, out);
    }
}

static void print_functions(const struct platform *platform, FILE *out)
{
    fputc('[', out);
    for (int i = 0; i < platform->functions.count; i++) {
        const struct function *function = &platform->functions.function[i];
        fprintf(out, "%s{\"waiting\":%d,", i ? ",\n" : "", function->waiting_count);
        instances_print(&platform->instances, function, out);
        fputc('}', out);
    }
    fputs("]\n", out);
}

void pages_answer(struct platform *platform, struct client *client)
{
    const char *type = "application/json";
    int page = client->peer.conn.page;
    size_t len;
    free(client->page);
    FILE *out = open_memstream(&client->page, &len);
    if (!out)
        die("out of memory");
    switch (page) {
    case PAGE_METRICS:
        type = "text/plain; version=0.0.4";
        print_metrics(platform, out);
        break;
    case PAGE_FUNCTIONS: print_functions(platform, out); break;
    case PAGE_DEAD_LETTERS: dead_letters_print(&platform->dead_letters, out); break;
    case PAGE_REPLAY: fprintf(out, "{\"replaying\":%d}\n", attempts_replay(platform)); break;
    }
    fclose(out);
    conn_answer(&client->peer.conn, 200, type, (struct span){client->page, len});
}
