/* serverless: a router makes each request an event for a function; processes that each serve one
 * function, one event at a time, are started when events wait and ended when they idle.
 *
 * Who blocks:  an instance, in everything that a request asks for; the router never does.
 * Strength:    capacity follows the load from nothing and back and is paid by use; a function that
 *              fails costs its own events only: they are tried again, then kept as dead letters.
 * Weakness:    a cold start for each event that finds no idle instance; a message to another
 *              process and back for every request, even a trivial one; no order among events. An
 *              event that is tried again may trade twice. Of a dead letter the program is kept
 *              and not what its message brought.
 * Try it:      build/servers/serverless --cold-start 500ms --crash bad:100 --port 8080 &
 *              for i in 1 2; do time curl 127.0.0.1:8080/; done    # the second meets a warm one
 *              curl '127.0.0.1:8080/work?class=bad'                # 502, after three retries
 *              curl 127.0.0.1:8080/functions 127.0.0.1:8080/dead-letters
 *              curl -X POST 127.0.0.1:8080/dead-letters/replay
 *
 * Parts:       platform.h has the structs, and the life of an event step by step; scheduler.h
 *              brings events and instances together; attempts.h decides what follows a failure.
 *
 * Name:    serverless
 * Ids:     A17
 * Family:  messages
 * Look:    #C9B52E 8
 * Read:    invoke, connections=welcome, requests=route, surge=scheduler_scale_out, failure=attempts_failed
 * Blocks:  nothing
 * Tasks:   0
 * Push:    no
 * Book:    in shared memory, a lock for each; or one lock, or a thread of the router that owns them
 * Compute: --max-instances
 * Holds:   --max-instances=64
 * Link:    -lev
 */
#include "servers/serverless/attempts.h"
#include "servers/serverless/pages.h"
#include "servers/serverless/recovery.h"
#include "servers/serverless/scheduler.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_SECONDS 0.05

/* --- clients: a request becomes an event ------------------------------------------------------ */

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
    free(container_of(peer, struct client, peer)->page);
    free(peer);
    platform->clients--;
}

/* `text` is a constant. */
static void refuse(struct client *client, const char *text)
{
    struct span reason = {(char *)text, strlen(text)};
    conn_answer(&client->peer.conn, 503, "text/plain", reason);
}

/* Make an event of the client's request. False: it is refused, and the reply says why. */
static bool accept_event(struct platform *platform, struct client *client)
{
    struct job *job = client->peer.conn.job;
    struct function *function = functions_find(&platform->functions, &job->program);
    client->event = (struct event){
        .function = function, .program = &job->program, .message = job->message, .client = client};
    _Static_assert(FUNCTIONS_MAX == 256, "the reply below says so");
    if (!function)
        refuse(client, "there are 256 functions already\n");
    else if (platform->waiting >= platform->max_waiting && LIST_EMPTY(&function->idle))
        job_shed(job);
    else if (dead_letters_accept(&platform->dead_letters, &job->program, &client->event.accepted))
        refuse(client, "the journal cannot be written\n");
    else
        return true;
    return false;
}

/* True: an event is on its way. False: the reply is ready; it is a page or a refusal. */
static bool route(struct platform *platform, struct client *client)
{
    if (client->peer.conn.page != NO_PAGE) {
        pages_answer(platform, client);
        return false;
    }
    if (!accept_event(platform, client))
        return false;
    loop_watch(&client->peer, 0);
    scheduler_submit(platform, &client->event);
    return true;
}

/* Go on with a connection until it would block, or an event of it is on its way. */
static void drive(struct platform *platform, struct loop_peer *peer)
{
    enum want want;
    do
        want = conn_pump(&peer->conn, peer->io.fd, WAIT_DELEGATE);
    while (want == WANT_JOB && !route(platform, container_of(peer, struct client, peer)));
    if (want != WANT_JOB && !loop_await(peer))
        drop(platform, peer);
}

/* --- instances: what has become of an event --------------------------------------------------- */

/* The reply is ready; NULL: there is no client to reply to. The event leaves the journal only when the
 * reply has gone: what a client was not told is always in the journal. What it was told in the very
 * last moment may be there too. */
static void reply(struct platform *platform, struct client *client)
{
    if (!client)
        return;
    struct accepted_event *accepted = client->event.accepted;
    drive(platform, &client->peer); /* then it may have its next event, or be gone */
    dead_letters_done(&platform->dead_letters, accepted);
}

/* The instance gets its next event before the reply to the last one is sent. */
static void handle_done(struct platform *platform, const struct news *news)
{
    struct event *event = news->task;
    scheduler_release(platform, news->instance);
    event->report = news->report;
    reply(platform, event->report.error ? attempts_failed(platform, event, FAILURE_STEP)
                                        : attempts_succeeded(platform, event));
}

static void handle_death(struct platform *platform, struct event *event, enum failure failure)
{
    if (event)
        reply(platform, attempts_failed(platform, event, failure));
    scheduler_scale_out(platform);
}

static void handle_news(struct platform *platform)
{
    struct news news;
    while ((news = instances_next(&platform->instances)).kind != NEWS_NONE) {
        switch (news.kind) {
        case NEWS_READY: scheduler_match(platform, news.function); break;
        case NEWS_DONE: handle_done(platform, &news); break;
        case NEWS_CRASHED: handle_death(platform, news.task, FAILURE_CRASHED); break;
        case NEWS_ENDED: handle_death(platform, news.task, FAILURE_TIMED_OUT); break;
        case NEWS_OTHER: attempts_retry_due(platform); break;
        case NEWS_NONE: break;
        }
    }
}

static void run(struct platform *platform)
{
    struct loop_peer *peer;
    for (;;) {
        switch (loop_wait(&platform->loop, &peer)) {
        case LOOP_ACCEPT: welcome(platform); break;
        case LOOP_READY: drive(platform, peer); break;
        case LOOP_WAKE: handle_news(platform); break;
        case LOOP_TICK: scheduler_tick(platform); break;
        case LOOP_EXPIRED: drop(platform, peer); break;
        case LOOP_STOPPED: return;
        case LOOP_DUE:
        case LOOP_NEWS:
        case LOOP_NOTHING: break;
        }
    }
}

/* --- setting up ------------------------------------------------------------------------------- */

/* Clients and instances share the descriptors that this process may have. A quarter is for the
 * instances; otherwise a crowd of clients would leave none to serve them. Returns how many
 * instances there may be. */
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

static void platform_init(struct platform *platform, int max_instances, int max_dead_letters,
                          const char *journal_path)
{
    pages_init(platform);
    instances_init(&platform->instances, &platform->server.service, platform->server.counters,
                   share_descriptors(platform, max_instances));
    timers_init(&platform->pauses);
    instances_watch(&platform->instances, platform->pauses.fd);
    dead_letters_init(&platform->dead_letters, &platform->journal, max_dead_letters);
    recovery_run(platform, journal_path);
    loop_init(&platform->loop, &platform->server, 0);
    loop_source(&platform->loop, platform->instances.fd);
    loop_tick(&platform->loop, TICK_SECONDS);
}

int main(int argc, char **argv)
{
    int max_instances = 64, max_dead_letters = 100, book = MARKET_SHARD;
    int64_t cold_start_ns = 50 * NSEC_PER_MSEC;
    const char *crash = NULL, *journal_path = NULL;
    struct platform platform = {.max_waiting = 1024,
                                .max_retries = 3,
                                .keep_alive_ns = 2 * NSEC_PER_SEC,
                                .time_limit_ns = 10 * NSEC_PER_SEC,
                                .retry_base_ns = 20 * NSEC_PER_MSEC};
    const struct option_row knobs[] = {
        {"max-instances", 0, OPTION_INT, &max_instances, "N", "instances at most", 1, 1000},
        {"queue", 'q', OPTION_INT, &platform.max_waiting, "N", "events that may wait; beyond: 503",
         1, 1e6},
        {"cold-start", 0, OPTION_DURATION, &cold_start_ns, "TIME",
         "what an instance waits for before it is ready", 0, 0},
        {"keep-alive", 0, OPTION_DURATION, &platform.keep_alive_ns, "TIME",
         "an instance that idled so long is ended", 0, 0},
        {"function-timeout", 0, OPTION_DURATION, &platform.time_limit_ns, "TIME",
         "an invocation that takes longer is ended: 504", 0, 0},
        {"retries", 0, OPTION_INT, &platform.max_retries, "N", "attempts after the first", 0, 30},
        {"retry-base", 0, OPTION_DURATION, &platform.retry_base_ns, "TIME",
         "bound of the first random pause; it doubles with each", 0, 0},
        {"dead-letters", 0, OPTION_INT, &max_dead_letters, "N", "dead letters kept, the newest", 0,
         1e5},
        {"journal", 0, OPTION_TEXT, &journal_path, "FILE",
         "events and dead letters survive the router in it", 0, 0},
        {"book", 0, OPTION_CHOICE, &book, MARKET_SYNCS, "how instances share the order books", 0,
         0},
        {"crash", 0, OPTION_TEXT, &crash, "CLASS:PERCENT",
         "fault injection: so many invocations of that function abort", 0, 0},
        {0},
    };

    server_setup(&platform.server, argc, argv, knobs);
    server_books(&platform.server, (enum market_sync)book);
    functions_init(&platform.functions, cold_start_ns, crash);
    platform_init(&platform, max_instances, max_dead_letters, journal_path);
    server_ready(&platform.server);
    run(&platform);
    instances_end_all(&platform.instances);
    pages_update_own(&platform);
    dead_letters_free(&platform.dead_letters);
    exit(server_finish(&platform.server)); /* no return: replays under way point to the platform */
}
