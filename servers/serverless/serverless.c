/* serverless: a router makes each request an event for a function; processes that each serve one
 * function, one event at a time, are started when events wait and ended when they idle.
 *
 * Who blocks:  instances, in everything that a request asks for; the router waits for none of them.
 * Strength:    capacity follows the load from nothing and back and is paid by use; a function that
 *              fails costs its own events only: they are tried again, then kept as dead letters.
 * Weakness:    a cold start for whoever meets no idle instance; a message to another process and
 *              back for every request, the trivial one too; no order among events.
 * Try it:      build/servers/serverless --cold-start 500ms --crash bad:100 --port 8080 &
 *              for i in 1 2; do time curl 127.0.0.1:8080/; done    # the second meets a warm one
 *              curl '127.0.0.1:8080/work?class=bad'                # 502, after three retries
 *              curl 127.0.0.1:8080/functions 127.0.0.1:8080/dead-letters
 *              curl -X POST 127.0.0.1:8080/dead-letters/replay
 *
 * Name:    serverless
 * Ids:     A17
 * Family:  serverless
 * Blocks:  nothing
 * Tasks:   0
 * Compute: --max-instances
 * Holds:   --max-instances=64
 * Link:    -lev
 */
#include "common/serve/loop.h"
#include "servers/serverless/backoff.h"
#include "servers/serverless/dead_letters.h"
#include "servers/serverless/instances.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One piece of work on its way: the request of a client, or a dead letter that is tried again. */
struct event {
    struct function *function;
    const struct program *program; /* the client's or the letter's */
    struct client *client;         /* embeds the event; NULL: */
    struct dead_letter *letter;    /* pinned meanwhile, and the event is freed in the end */
    struct note *note;             /* of a client's event in the journal; owned */
    int attempts;
    struct performer_report report; /* of the last attempt that was reported */
    int64_t since_ns;               /* it began to wait for an instance */
    struct timer pause;             /* before another attempt */
    TAILQ_ENTRY(event) link;        /* in function->waiting */
};

struct client {
    struct loop_peer peer; /* first: a peer of the loop is a client */
    struct event event;
    char *page; /* text of the page it asked for last, which its conn may still be sending; owned */
};

struct function {
    char name[PROGRAM_CLASS_MAX + 1]; /* the class of its requests */
    struct instance_pool pool;        /* its instances, and what they cost */
    TAILQ_HEAD(events, event) waiting;
    int waiting_count;
};

enum { FUNCTIONS_MAX = 256, OWN_LETTERS = ACCOUNTS, OWN_LOST, OWN_COUNTERS };

struct platform {
    struct server server;
    struct loop loop;           /* events come in here, from clients ... */
    struct instances instances; /* ... and reports here */
    struct timers pauses;       /* of events between two attempts */
    struct dead_letters letters;
    struct journal journal;    /* of events under way and of letters */
    struct function *function; /* [FUNCTIONS_MAX]; there are `functions` of them so far */
    int functions, waiting, clients;
    int max_waiting, max_clients, max_retries;
    int64_t cold_start_ns, keep_alive_ns, time_limit_ns, retry_base_ns;
    const char *crash;        /* --crash: CLASS:PERCENT, or NULL */
    const char *journal_path; /* --journal, or NULL */
    struct own_counter own[OWN_COUNTERS + 1];
};

#define TICK_SECONDS 0.05

/* --- events meet instances -------------------------------------------------------------------- */

/* Of the functions with more events waiting than instances on their way, the one whose first event
 * has waited longest. `bare`: only of those without any instance. */
static struct function *neediest(struct platform *platform, bool bare)
{
    struct function *found = NULL;
    for (int i = 0; i < platform->functions; i++) {
        struct function *it = &platform->function[i];
        if (it->waiting_count <= it->pool.starting || (bare && it->pool.alive))
            continue;
        if (!found || TAILQ_FIRST(&it->waiting)->since_ns < TAILQ_FIRST(&found->waiting)->since_ns)
            found = it;
    }
    return found;
}

/* All places are taken: end who has idled longest. One at a time, since ending takes a moment. */
static void make_room(struct instances *instances)
{
    struct instance *longest = NULL;
    for (int i = 0; i < instances->places; i++) {
        struct instance *it = &instances->place[i];
        if (it->state == INSTANCE_IDLE && (!longest || it->since_ns < longest->since_ns))
            longest = it;
    }
    if (longest && !instances->clearing)
        instances_end(instances, longest);
}

/* An instance for each event that waits for one. What the system refuses now, a tick asks again. */
static void scale_out(struct platform *platform)
{
    struct instances *instances = &platform->instances;
    struct function *function;
    while ((function = neediest(platform, false)) && instances->taken < instances->places)
        if (!instances_start(instances, &function->pool))
            return;
    if (function)
        make_room(instances);
}

/* The first event goes to the instance used last, which owns it until its report or its end. */
static void invoke(struct platform *platform, struct function *function)
{
    struct event *event = TAILQ_FIRST(&function->waiting);
    if (!instances_give(&function->pool, event->program, event))
        return;
    TAILQ_REMOVE(&function->waiting, event, link);
    function->waiting_count--;
    platform->waiting--;
    event->attempts++;
    count_add(platform->server.counters, COUNTER_queued, -1);
    count_add(platform->server.counters, COUNTER_dequeued, 1);
    count_add(platform->server.counters, COUNTER_queue_wait_us,
              (now_ns() - event->since_ns) / NSEC_PER_USEC);
}

static void match(struct platform *platform, struct function *function)
{
    while (function->waiting_count && !LIST_EMPTY(&function->pool.idle))
        invoke(platform, function);
    scale_out(platform);
}

static void submit(struct platform *platform, struct event *event)
{
    struct function *function = event->function;
    event->since_ns = now_ns();
    TAILQ_INSERT_TAIL(&function->waiting, event, link);
    function->waiting_count++;
    platform->waiting++;
    count_add(platform->server.counters, COUNTER_queued, 1);
    match(platform, function);
}

/* It has performed an event and can take another. But where a function without any instance waits
 * and all places are taken, it makes room: however busy, no function keeps another from being
 * served. */
static void release(struct platform *platform, struct instance *instance, struct function *function)
{
    struct instances *instances = &platform->instances;
    if (instances->taken == instances->places && !instances->clearing && neediest(platform, true))
        instances_end(instances, instance);
    else
        match(platform, function);
}

/* Scale in, to nothing when nobody calls, and end what takes too long. */
static void tick(struct platform *platform)
{
    instances_charge(&platform->instances);
    for (int i = 0; i < platform->instances.places; i++) {
        struct instance *it = &platform->instances.place[i];
        int64_t lasted_ns = now_ns() - it->since_ns;
        bool tired = it->state == INSTANCE_IDLE && lasted_ns >= platform->keep_alive_ns;
        bool late = it->state == INSTANCE_BUSY && lasted_ns >= platform->time_limit_ns;
        if (late)
            it->pool->account[ACCOUNT_timed_out]++;
        if (tired || late)
            instances_end(&platform->instances, it);
    }
    scale_out(platform);
}

/* --- the management's pages ------------------------------------------------------------------- */

enum { PAGE_METRICS, PAGE_FUNCTIONS, PAGE_LETTERS, PAGE_REPLAY };
static const struct page pages[] = {[PAGE_METRICS] = {"/metrics", false},
                                    [PAGE_FUNCTIONS] = {"/functions", false},
                                    [PAGE_LETTERS] = {"/dead-letters", false},
                                    [PAGE_REPLAY] = {"/dead-letters/replay", true},
                                    {NULL, false}};

static void update_own(struct platform *platform)
{
    for (int i = 0; i < ACCOUNTS; i++) {
        double sum = 0;
        for (int f = 0; f < platform->functions; f++)
            sum += platform->function[f].pool.account[i];
        platform->own[i].value = (int64_t)sum;
    }
    platform->own[OWN_LETTERS].value = platform->letters.count;
    platform->own[OWN_LOST].value = platform->letters.lost;
}

static void print_metrics(struct platform *platform, FILE *out)
{
    struct counters_report report;
    char text[COUNTERS_PIECE_MIN];
    size_t len;
    counters_report_begin(&report, platform->server.service.counters);
    while ((len = counters_report_piece(&report, text, sizeof text)))
        fwrite(text, 1, len, out);
    update_own(platform);
    for (const struct own_counter *own = platform->own; own->name; own++) {
        len = own_counter_metrics(own, text, sizeof text);
        fwrite(text, 1, len, out);
    }
}

static void print_functions(const struct platform *platform, FILE *out)
{
    fputc('[', out);
    for (int i = 0; i < platform->functions; i++) {
        const struct function *function = &platform->function[i];
        fprintf(out, "%s{\"waiting\":%d,", i ? ",\n" : "", function->waiting_count);
        instance_pool_print(&function->pool, &platform->instances, out);
        fputc('}', out);
    }
    fputs("]\n", out);
}

/* --- sources and routing ---------------------------------------------------------------------- */

static struct function *add_function(struct platform *platform, const char *name)
{
    struct function *function = &platform->function[platform->functions++];
    struct performer_manner manner = {.start_up_ns = platform->cold_start_ns};
    size_t len = strlen(name);
    memcpy(function->name, name, len + 1);
    if (platform->crash && strncmp(platform->crash, name, len) == 0 && platform->crash[len] == ':')
        manner.crash_percent = atoi(platform->crash + len + 1);
    instance_pool_init(&function->pool, function->name, &manner);
    TAILQ_INIT(&function->waiting);
    return function;
}

/* NULL: it would be one too many. */
static struct function *function_of(struct platform *platform, const struct program *program)
{
    const char *name = *program->class_name ? program->class_name : "default";
    for (int i = 0; i < platform->functions; i++)
        if (strcmp(platform->function[i].name, name) == 0)
            return &platform->function[i];
    return platform->functions < FUNCTIONS_MAX ? add_function(platform, name) : NULL;
}

/* Each dead letter becomes an event once more, which no client waits for. */
static void replay(struct platform *platform, FILE *out)
{
    struct dead_letter *letter;
    int count = 0;
    TAILQ_FOREACH (letter, &platform->letters.list, link) {
        struct function *function = function_of(platform, &letter->program);
        if (letter->pinned || !function)
            continue;
        struct event *event = must_calloc(1, sizeof *event);
        *event =
            (struct event){.function = function, .program = &letter->program, .letter = letter};
        letter->pinned = true;
        submit(platform, event);
        count++;
    }
    fprintf(out, "{\"replaying\":%d}\n", count);
}

static void answer_page(struct platform *platform, struct client *client)
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
    case PAGE_LETTERS: dead_letters_print(&platform->letters, out); break;
    case PAGE_REPLAY: replay(platform, out); break;
    }
    fclose(out);
    conn_answer(&client->peer.conn, 200, type, (struct span){client->page, len});
}

/* False: its reply can go out at once. It was a page, or too many events wait already, or the
 * journal cannot take one more. */
static bool route(struct platform *platform, struct client *client)
{
    struct job *job = &client->peer.conn.job;
    if (client->peer.conn.page != NO_PAGE) {
        answer_page(platform, client);
        return false;
    }
    struct function *function = function_of(platform, &job->program);
    bool full = platform->waiting >= platform->max_waiting;
    struct note *note = NULL;
    if (!function || (full && LIST_EMPTY(&function->pool.idle)) ||
        dead_letters_note(&platform->letters, &job->program, &note)) {
        job_shed(job);
        return false;
    }
    loop_watch(&client->peer, 0);
    client->event = (struct event){
        .function = function, .program = &job->program, .client = client, .note = note};
    submit(platform, &client->event);
    return true;
}

static void welcome(struct platform *platform)
{
    int fd;
    while ((fd = server_accept_ready(&platform->server)) >= 0) {
        if (platform->clients >= platform->max_clients) {
            close(fd);
            count_add(platform->server.counters, COUNTER_refused, 1);
            continue;
        }
        platform->clients++;
        loop_add(&platform->loop, must_calloc(1, sizeof(struct client)), fd);
    }
}

static void drop(struct platform *platform, struct loop_peer *peer)
{
    loop_remove(peer);
    free(((struct client *)peer)->page);
    free(peer);
    platform->clients--;
}

/* Go on with a connection until it would block, or an event of it is on its way. */
static void drive(struct platform *platform, struct loop_peer *peer)
{
    enum want want;
    do
        want = conn_pump(&peer->conn, peer->io.fd, WAIT_DELEGATE);
    while (want == WANT_JOB && !route(platform, (struct client *)peer));

    switch (want) {
    case WANT_SHUTDOWN:
    case WANT_READ: loop_watch(peer, EV_READ); break;
    case WANT_WRITE: loop_watch(peer, EV_WRITE); break;
    case WANT_JOB: break;
    case WANT_CLOSE: drop(platform, peer); break;
    }
}

static void expire(struct platform *platform, struct loop_peer *peer)
{
    conn_end(&peer->conn);
    drop(platform, peer);
}

/* --- what becomes of an event ----------------------------------------------------------------- */

enum failure { CRASHED, TIMED_OUT, STEP_FAILED, ROUTER_ENDED, FAILURES };
static const struct {
    const char *name, *text;
    int status;
} failures[] = {[CRASHED] = {"crashed", "the function crashed\n", 502},
                [TIMED_OUT] = {"timed out", "the function took too long\n", 504},
                [STEP_FAILED] = {"failed", NULL, 0}, /* the job's error says more */
                [ROUTER_ENDED] = {"router ended", NULL, 0}};

/* The note goes when the reply has gone: what a client was not told is in the journal, though what
 * it was told in the very last moment may be too. */
static void succeed(struct platform *platform, struct event *event)
{
    if (event->client) {
        struct note *note = event->note;
        job_deliver(&event->client->peer.conn.job, event->report.digest, 0, 0);
        drive(platform, &event->client->peer); /* the next event may be there, or no client */
        dead_letters_done(&platform->letters, note);
        return;
    }
    event->function->pool.account[ACCOUNT_replayed]++;
    dead_letters_remove(&platform->letters, event->letter);
    free(event);
}

/* A replay is one attempt, and then the letter stays. */
static void return_letter(struct platform *platform, struct event *event, enum failure failure)
{
    event->letter->pinned = false;
    event->letter->attempts++;
    event->letter->reason = failures[failure].name;
    dead_letters_update(&platform->letters, event->letter);
    free(event);
}

static void give_up(struct platform *platform, struct event *event, enum failure failure)
{
    struct conn *conn = &event->client->peer.conn;
    const char *text = failures[failure].text;
    event->function->pool.account[ACCOUNT_given_up]++;
    dead_letters_add(&platform->letters, event->note, event->function->name, event->program,
                     failures[failure].name, event->attempts);
    if (text)
        conn_answer(conn, failures[failure].status, "text/plain",
                    (struct span){(char *)text, strlen(text)});
    else
        job_deliver(&conn->job, 0, event->report.error, event->report.step);
    drive(platform, &event->client->peer);
}

/* Try again after a pause, unless it was tried often enough or took too long, as it would again. */
static void fail(struct platform *platform, struct event *event, enum failure failure)
{
    if (event->letter) {
        return_letter(platform, event, failure);
    } else if (failure == TIMED_OUT || event->attempts > platform->max_retries) {
        give_up(platform, event, failure);
    } else {
        event->function->pool.account[ACCOUNT_retries]++;
        timers_add(&platform->pauses, &event->pause,
                   now_ns() + backoff_ns(platform->retry_base_ns, event->attempts, arc4random()));
    }
}

static void retry_due(struct platform *platform)
{
    struct timer *timer;
    while ((timer = timers_expire(&platform->pauses, now_ns())))
        submit(platform, (struct event *)((char *)timer - offsetof(struct event, pause)));
}

static struct function *owner_of(struct instance_pool *pool)
{
    return (struct function *)((char *)pool - offsetof(struct function, pool));
}

/* An instance takes its next event before the reply to the last one is on its way. */
static void heed(struct platform *platform, const struct news *news)
{
    struct event *event = news->task;
    switch (news->kind) {
    case NEWS_READY: match(platform, owner_of(news->pool)); break;
    case NEWS_DONE:
        release(platform, news->instance, owner_of(news->pool));
        event->report = news->report;
        if (event->report.error)
            fail(platform, event, STEP_FAILED);
        else
            succeed(platform, event);
        break;
    case NEWS_CRASHED:
    case NEWS_ENDED:
        if (event)
            fail(platform, event, news->kind == NEWS_CRASHED ? CRASHED : TIMED_OUT);
        scale_out(platform);
        break;
    case NEWS_OTHER: retry_due(platform); break;
    case NEWS_NONE: break;
    }
}

static void listen_to_instances(struct platform *platform)
{
    struct news news;
    while ((news = instances_next(&platform->instances)).kind != NEWS_NONE)
        heed(platform, &news);
}

static void run(struct platform *platform)
{
    struct loop_peer *peer;
    for (;;) {
        switch (loop_wait(&platform->loop, &peer)) {
        case LOOP_ACCEPT: welcome(platform); break;
        case LOOP_READY: drive(platform, peer); break;
        case LOOP_WAKE: listen_to_instances(platform); break;
        case LOOP_TICK: tick(platform); break;
        case LOOP_EXPIRED: expire(platform, peer); break;
        case LOOP_STOPPED: return;
        case LOOP_DUE:
        case LOOP_NOTHING: break;
        }
    }
}

/* Clients and instances share the descriptors that this process may have: a quarter is for the
 * latter, or else a crowd of clients would leave none to serve them. Returns what is left of it. */
static int share_descriptors(struct platform *platform, int max_instances)
{
    enum { OTHER_DESCRIPTORS = 14 };
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    int descriptors = limit.rlim_cur < 1 << 20 ? (int)limit.rlim_cur : 1 << 20;
    if (max_instances > descriptors / 4)
        max_instances = descriptors / 4;
    platform->max_clients = descriptors - OTHER_DESCRIPTORS - max_instances;
    return max_instances;
}

/* --- what an earlier router left -------------------------------------------------------------- */

static const char *known_reason(struct span reason)
{
    for (int i = 0; i < FAILURES; i++)
        if (strlen(failures[i].name) == reason.len &&
            memcmp(failures[i].name, reason.data, reason.len) == 0)
            return failures[i].name;
    return failures[ROUTER_ENDED].name;
}

/* Letters are letters again. An event that was under way is one now: whether it was done nobody
 * knows, and its client has not been told. */
static void recover(struct platform *platform)
{
    struct journal_record *records;
    struct recovered found;
    long count = journal_open(&platform->journal, platform->journal_path, &records);
    if (count < 0)
        die("--journal: '%s': %s", platform->journal_path,
            count == -EWOULDBLOCK ? "in use"
            : count == -EILSEQ    ? "is no journal"
                                  : strerror((int)-count));
    for (long i = 0; i < count; i++) {
        if (!dead_letters_read(&records[i], &found))
            die("--journal: '%s': is no journal of events", platform->journal_path);
        struct function *function = function_of(platform, &found.program);
        dead_letters_recover(&platform->letters, records[i].id, function ? function->name : "?",
                             &found, known_reason(found.reason));
    }
    free(records);
    long error = journal_settle(&platform->journal);
    if (error)
        die("--journal: '%s': %s", platform->journal_path, strerror((int)-error));
}

static void platform_init(struct platform *platform, int max_instances, int max_letters)
{
    static const struct own_counter own[] = {
#define X(name, type, help) {#name, #type, help, 0},
        ACCOUNT_LIST(X)
#undef X
            [OWN_LETTERS] = {"dead_letters", "gauge", "Dead letters kept.", 0},
        [OWN_LOST] = {"dead_letters_lost", "counter", "Dead letters without room.", 0},
        [OWN_COUNTERS] = {0}};
    memcpy(platform->own, own, sizeof own);
    platform->server.service.own = platform->own;
    platform->server.service.pages = pages;
    platform->function = must_calloc(FUNCTIONS_MAX, sizeof *platform->function);
    instances_init(&platform->instances, &platform->server.service, platform->server.counters,
                   share_descriptors(platform, max_instances));
    timers_init(&platform->pauses);
    instances_watch(&platform->instances, platform->pauses.fd);
    dead_letters_init(&platform->letters, &platform->journal, max_letters);
    recover(platform);
    loop_init(&platform->loop, &platform->server, 0);
    loop_source(&platform->loop, platform->instances.fd);
    loop_tick(&platform->loop, TICK_SECONDS);
}

static void check_crash(const char *crash)
{
    const char *colon = crash ? strchr(crash, ':') : NULL;
    long percent;
    if (crash && (!colon || !parse_integer(colon + 1, 0, 100, &percent)))
        die("--crash takes CLASS:PERCENT, as in bad:100");
}

int main(int argc, char **argv)
{
    int max_instances = 64, max_letters = 100;
    struct platform platform = {.max_waiting = 1024,
                                .max_retries = 3,
                                .cold_start_ns = 50 * NSEC_PER_MSEC,
                                .keep_alive_ns = 2 * NSEC_PER_SEC,
                                .time_limit_ns = 10 * NSEC_PER_SEC,
                                .retry_base_ns = 20 * NSEC_PER_MSEC};
    const struct option_row knobs[] = {
        {"max-instances", 0, OPTION_INT, &max_instances, "N", "instances at most", 1, 1000},
        {"queue", 'q', OPTION_INT, &platform.max_waiting, "N", "events that may wait; beyond: 503",
         1, 1e6},
        {"cold-start", 0, OPTION_DURATION, &platform.cold_start_ns, "TIME",
         "what an instance waits for before it is ready", 0, 0},
        {"keep-alive", 0, OPTION_DURATION, &platform.keep_alive_ns, "TIME",
         "an instance that idled so long is ended", 0, 0},
        {"function-timeout", 0, OPTION_DURATION, &platform.time_limit_ns, "TIME",
         "an invocation that takes longer is ended: 504", 0, 0},
        {"retries", 0, OPTION_INT, &platform.max_retries, "N", "attempts after the first", 0, 30},
        {"retry-base", 0, OPTION_DURATION, &platform.retry_base_ns, "TIME",
         "bound of the first random pause; it doubles with each", 0, 0},
        {"dead-letters", 0, OPTION_INT, &max_letters, "N", "dead letters kept, the newest", 0, 1e5},
        {"journal", 0, OPTION_TEXT, &platform.journal_path, "FILE",
         "events and dead letters survive the router in it", 0, 0},
        {"crash", 0, OPTION_TEXT, &platform.crash, "CLASS:PERCENT",
         "fault injection: so many invocations of that function abort", 0, 0},
        {0},
    };

    server_setup(&platform.server, argc, argv, knobs);
    check_crash(platform.crash);
    platform_init(&platform, max_instances, max_letters);
    server_ready(&platform.server);
    run(&platform);
    instances_end_all(&platform.instances);
    update_own(&platform);
    dead_letters_free(&platform.letters);
    exit(server_finish(&platform.server)); /* no return: replays under way hang on the platform */
}
