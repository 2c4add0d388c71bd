#include "common/work/job.h"
#include "common/base/util.h"
#include "common/work/counting.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static enum wait wait_of(enum step_kind kind)
{
    switch (kind) {
    case STEP_COUNT: return WAIT_COMPUTE;
    case STEP_BOOK: return WAIT_BOOK;
    case STEP_TIMER: return WAIT_TIMER;
    case STEP_DISK: return WAIT_DISK;
    case STEP_UPSTREAM:
    case STEP_REDIS:
    case STEP_SQL: return WAIT_UPSTREAM;
    case STEP_WORK: return WAIT_COMPUTE;
    case STEP_PUBLISH:
    case STEP_SUBSCRIBE:
    case STEP_UNSUBSCRIBE: return WAIT_NEWS;
    }
    return WAIT_NONE;
}

static void publish(struct job *job, const char *topic)
{
    struct frame *frame = message_delivery(topic, job->message);
    int told = topics_publish(job->topics, topic, frame);
    job->news.frame = frame;
    count_add(job->counters, COUNTER_published, 1);
    count_add(job->counters, COUNTER_pushed, told);
}

/* The wait that follows is for others to hear of it. */
static void change_topics(struct job *job, const struct step *step)
{
    const char *topic = program_topic(&job->program, step);
    strcpy(job->news.topic, topic);
    job->news.frame = NULL;
    if (step->kind == STEP_PUBLISH)
        publish(job, topic);
    if (step->kind == STEP_SUBSCRIBE)
        job->error = topics_subscribe(job->topics, job->subscriber, topic);
    if (step->kind == STEP_UNSUBSCRIBE)
        topics_unsubscribe(job->topics, job->subscriber, topic);
}

/* A pool without a database takes it for a wait. -ENOENT: there is no such statement, which whoever has read
 * the program from a request knows, and one that has kept it may not. */
static void begin_statement(struct job *job, const struct step *step)
{
    const struct statements *statements = job->database->statements;
    const char *name = program_topic(&job->program, step);
    int place = statements ? statements_find(statements, name) : -1;
    if (place < 0) {
        job->error = -ENOENT;
        return;
    }
    struct upstream_command command = {.verb = UPSTREAM_WAIT,
                                       .duration_ns = statements->statement[place].stand_in_ns,
                                       .statement = place,
                                       .name = program_argument(&job->program, step),
                                       .message = job->message};
    upstream_begin(&job->call, job->database, job->counters, command);
}

static void begin_call(struct job *job, const struct step *step)
{
    if (step->kind == STEP_SQL) {
        begin_statement(job, step);
        return;
    }
    struct upstream_command command = {.verb = step->verb,
                                       .duration_ns = step->amount_ns,
                                       .name = program_topic(&job->program, step),
                                       .message = job->message};
    upstream_begin(&job->call, job->upstream, job->counters, command);
}

/* What a step needs before its wait can begin. */
static void prepare(struct job *job)
{
    const struct step *step = &job->program.step[job->next];
    if (step->kind == STEP_DISK)
        job->error = disk_begin(job->disk, step->bytes, &job->read);
    if (wait_of(step->kind) == WAIT_UPSTREAM)
        begin_call(job, step);
    if (wait_of(step->kind) == WAIT_NEWS)
        change_topics(job, step);
}

static void finish(struct job *job, ssize_t result)
{
    if (job->pending == WAIT_DISK) {
        if (result > 0 && (size_t)result < job->read.len)
            result = -EIO;
        disk_end(&job->read);
    }
    if (job->pending == WAIT_NEWS && job->news.frame)
        frame_drop(job->news.frame);
    if (result < 0)
        job->error = (int)result;
}

/* Is the pending wait handed back? Not when a call is over as soon as it has begun. */
static bool is_handed_back(struct job *job)
{
    if (!(job->pending & job->async))
        return false;
    return job->pending != WAIT_UPSTREAM || upstream_advance(&job->call) == -EAGAIN;
}

static enum wait run(struct job *job)
{
    for (; job->next < job->program.steps; job->next++) {
        prepare(job);
        if (job->error)
            break;
        job->pending = wait_of(job->program.step[job->next].kind);
        if (is_handed_back(job))
            return job->pending;
        job_block(job);
        finish(job, 0);
        if (job->error)
            break;
    }
    return job->pending = WAIT_NONE;
}

enum wait job_start(struct job *job, unsigned async)
{
    job->started = true;
    job->next = 0;
    job->error = 0;
    job->digest = 0;
    job->async = async;
    if (async & WAIT_DELEGATE)
        return job->pending = WAIT_DELEGATE;
    return run(job);
}

enum wait job_resume(struct job *job, ssize_t result)
{
    if (job->pending == WAIT_UPSTREAM) {
        result = upstream_advance(&job->call);
        if (result == -EAGAIN)
            return WAIT_UPSTREAM;
    }
    finish(job, result);
    if (job->error)
        return job->pending = WAIT_NONE;
    job->next++;
    return run(job);
}

void job_deliver(struct job *job, uint64_t digest, int error, int step)
{
    job->digest = digest;
    job->error = error;
    job->next = (uint8_t)step;
    job->pending = WAIT_NONE;
}

static void sleep_ns(int64_t ns)
{
    struct timespec left = {ns / NSEC_PER_SEC, ns % NSEC_PER_SEC};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}

/* One at a time, as whatever a server counts. */
static void count_up(const struct job *job, uint32_t count)
{
    for (; count > 0; count--) {
        if (job->counting)
            counting_add(job->counting, COUNTER_counted, 1);
        else
            count_add(job->counters, COUNTER_counted, 1);
    }
}

void job_block(struct job *job)
{
    const struct step *step = &job->program.step[job->next];
    ssize_t n;
    switch (step->kind) {
    case STEP_DISK:
        n = disk_perform(&job->read);
        if (n < 0)
            job->error = (int)n;
        break;
    case STEP_UPSTREAM:
    case STEP_REDIS:
    case STEP_SQL: job->error = upstream_perform(&job->call); break;
    case STEP_TIMER: sleep_ns(step->amount_ns); break;
    case STEP_WORK: job->digest = program_compute(step, job->calibration, job->digest); break;
    case STEP_COUNT: count_up(job, step->count); break;
    case STEP_BOOK:
        job->error = market_perform(job->market, job->counters,
                                    (enum book_operation)step->operation, step->seed);
        break;
    case STEP_PUBLISH: /* done when it began */
    case STEP_SUBSCRIBE:
    case STEP_UNSUBSCRIBE: break;
    }
}

const struct publication *job_news(const struct job *job)
{
    return &job->news;
}

const struct disk_read *job_read(const struct job *job)
{
    return &job->read;
}

int64_t job_delay_ns(const struct job *job)
{
    return job->program.step[job->next].amount_ns;
}

int job_wait_fd(const struct job *job)
{
    return upstream_fd(&job->call);
}

short job_wait_events(const struct job *job)
{
    return upstream_events(&job->call);
}

int64_t job_deadline_ns(const struct job *job)
{
    return job->call.deadline_ns;
}

bool job_watch_turn(struct job *job)
{
    return upstream_watch_turn(&job->call);
}

void job_unwatch_turn(struct job *job)
{
    upstream_unwatch_turn(&job->call);
}

struct job *job_of_call(struct upstream_call *call)
{
    return container_of(call, struct job, call);
}

void job_shed(struct job *job)
{
    job->shed = true;
    job->pending = WAIT_NONE;
}
