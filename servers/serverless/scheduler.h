/* scheduler: brings events and instances together. It decides which event an instance gets, when an
 * instance is started, and when one is ended.
 *
 * Scaling has no controller. An event that finds no idle instance has one started; which of the
 * waiting events gets which instance stays open until one is ready. An instance is ended when it
 * has idled for long, when its invocation takes too long, or when its place is needed: for the
 * function whose event has waited longest, one that idles goes; and if a function has no instance
 * at all, one that has just performed an event goes too. Without the latter rule one busy function
 * would keep all places for ever. */
#ifndef ARCHBENCH_SCHEDULER_H
#define ARCHBENCH_SCHEDULER_H

#include "servers/serverless/platform.h"

/* The event waits for an instance of its function, or gets one at once. */
void scheduler_submit(struct platform *, struct event *);
/* Hand waiting events of this function to its idle instances, then start missing ones. */
void scheduler_match(struct platform *, struct function *);
/* This instance has performed an event and can take the next one, or is ended to make room. */
void scheduler_release(struct platform *, struct instance *);
/* Start instances for events that wait for one, as long as places are free. */
void scheduler_scale_out(struct platform *);
/* Call it regularly: end instances that have idled for long, and those whose invocation takes too
 * long; start what the system refused to start before. */
void scheduler_tick(struct platform *);

#endif
