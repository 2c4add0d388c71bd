/* attempts: what becomes of an event whose attempt has come to its end: done, tried again after a
 * pause, or given up and kept as a dead letter.
 *
 * A crash costs an attempt, because what crashed may succeed elsewhere. Taking too long costs the
 * event, because it would take too long again. An instance that is killed just when it is handed an
 * event costs an attempt too: it might have begun. The replay of a dead letter is one attempt,
 * because somebody is there who looks at the result. */
#ifndef ARCHBENCH_ATTEMPTS_H
#define ARCHBENCH_ATTEMPTS_H

#include "servers/serverless/platform.h"

/* Why an event became a dead letter. */
enum failure {
    FAILURE_CRASHED,      /* its instance died */
    FAILURE_TIMED_OUT,    /* its instance was ended because it took too long */
    FAILURE_STEP,         /* one of its steps failed: see event->report */
    FAILURE_ROUTER_ENDED, /* it was under way when an earlier router was killed */
    FAILURES
};

/* The attempt is over. Both return the client whose reply is ready to go out: drive its connection,
 * then call dead_letters_done() for event->accepted. NULL: no client waits for this event, or not
 * yet for its reply; then the event may have been freed. */
struct client *attempts_succeeded(struct platform *, struct event *);
struct client *attempts_failed(struct platform *, struct event *, enum failure);

/* Submit the events whose pause is over. */
void attempts_retry_due(struct platform *);
/* Make every dead letter an event once more, except those that are one already. Returns how many
 * were submitted. */
int attempts_replay(struct platform *);

/* The name of this failure, as a constant; of an unknown or empty one "router ended". */
const char *attempts_reason(struct span name);

#endif
