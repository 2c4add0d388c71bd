#include "servers/serverless/attempts.h"
#include "servers/serverless/backoff.h"
#include "servers/serverless/scheduler.h"

#include <stdlib.h>
#include <string.h>

/* The reply to the client. Without a text the job says which of its steps failed. */
static const struct {
    const char *name, *text;
    int status;
} failures[] = {[FAILURE_CRASHED] = {"crashed", "the function crashed\n", 502},
                [FAILURE_TIMED_OUT] = {"timed out", "the function took too long\n", 504},
                [FAILURE_STEP] = {"failed", NULL, 0},
                [FAILURE_ROUTER_ENDED] = {"router ended", NULL, 0}};

const char *attempts_reason(struct span name)
{
    for (int i = 0; i < FAILURES; i++)
        if (strlen(failures[i].name) == name.len &&
            memcmp(failures[i].name, name.data, name.len) == 0)
            return failures[i].name;
    return failures[FAILURE_ROUTER_ENDED].name;
}

struct client *attempts_succeeded(struct platform *platform, struct event *event)
{
    if (event->client) {
        job_deliver(event->client->peer.conn.job, event->report.digest, 0, 0);
        return event->client;
    }
    event->function->account[ACCOUNT_replayed]++;
    dead_letters_remove(&platform->dead_letters, event->dead_letter);
    free(event);
    return NULL;
}

/* A replay has failed: the dead letter stays. */
static void return_dead_letter(struct platform *platform, struct event *event, enum failure failure)
{
    struct dead_letter *dead_letter = event->dead_letter;
    dead_letter->pinned = false;
    dead_letter->attempts++;
    dead_letter->reason = failures[failure].name;
    dead_letters_update(&platform->dead_letters, dead_letter);
    free(event);
}

static void give_up(struct platform *platform, struct event *event, enum failure failure)
{
    struct conn *conn = &event->client->peer.conn;
    const char *text = failures[failure].text;
    event->function->account[ACCOUNT_given_up]++;
    dead_letters_add(&platform->dead_letters, event->accepted, event->function->name,
                     event->program, failures[failure].name, event->attempts);
    event->accepted = NULL;
    if (text)
        conn_answer(conn, failures[failure].status, "text/plain",
                    (struct span){(char *)text, strlen(text)});
    else
        job_deliver(conn->job, 0, event->report.error, event->report.step);
}

static void pause_before_retry(struct platform *platform, struct event *event)
{
    int64_t pause_ns = backoff_ns(platform->retry_base_ns, event->attempts, arc4random());
    event->function->account[ACCOUNT_retries]++;
    timers_add(&platform->pauses, &event->pause, now_ns() + pause_ns);
}

struct client *attempts_failed(struct platform *platform, struct event *event, enum failure failure)
{
    if (event->dead_letter) {
        return_dead_letter(platform, event, failure);
        return NULL;
    }
    if (failure == FAILURE_TIMED_OUT || event->attempts > platform->max_retries) {
        give_up(platform, event, failure);
        return event->client;
    }
    pause_before_retry(platform, event);
    return NULL;
}

void attempts_retry_due(struct platform *platform)
{
    struct timer *timer;
    while ((timer = timers_expire(&platform->pauses, now_ns())))
        scheduler_submit(platform, container_of(timer, struct event, pause));
}

static void replay(struct platform *platform, struct dead_letter *dead_letter,
                   struct function *function)
{
    struct event *event = must_calloc(1, sizeof *event);
    *event = (struct event){
        .function = function, .program = &dead_letter->program, .dead_letter = dead_letter};
    dead_letter->pinned = true;
    scheduler_submit(platform, event);
}

int attempts_replay(struct platform *platform)
{
    struct dead_letter *dead_letter;
    int count = 0;
    TAILQ_FOREACH (dead_letter, &platform->dead_letters.list, link) {
        struct function *function = functions_find(&platform->functions, &dead_letter->program);
        if (dead_letter->pinned || !function)
            continue;
        replay(platform, dead_letter, function);
        count++;
    }
    return count;
}
