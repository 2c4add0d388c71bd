/* measure: see measure.h. */
#include "loadgen/measure.h"
#include "common/base/util.h"
#include "loadgen/judge/refusals.h"
#include "loadgen/judge/verdict.h"
#include "loadgen/output/notes.h"
#include "loadgen/output/timeline.h"

#include <stdlib.h>

static double duration_s(const struct shared *shared)
{
    int64_t ns = shared->schedule.end_ns - shared->schedule.begin_ns;

    return ns > 0 ? (double)ns / 1e9 : 0;
}

struct measurement *measure(const struct plan *plan, const struct telling *telling)
{
    struct measurement *m = must_calloc(1, sizeof *m);
    struct timeline *timeline;

    crew_start(&m->crew, plan);
    timeline = timeline_create(plan, m->crew.shared, telling->timeseries, telling->display);
    crew_watch(&m->crew, timeline, telling->control);
    m->result.drift = timeline_drift(timeline);
    timeline_free(timeline);
    crew_end(&m->crew);
    m->totals = totals_of(m->crew.shared, plan->workers, plan->class_count);
    m->result.plan = plan;
    m->result.shared = m->crew.shared;
    m->result.totals = m->totals;
    m->result.duration_s = duration_s(m->crew.shared);
    m->result.lost = m->crew.lost;
    m->result.server = m->crew.server;
    verdict_judge(&m->result);
    refusals_judge(&m->result);
    notes_take(&m->result);
    return m;
}

void measurement_free(struct measurement *m)
{
    free(m->totals);
    crew_free(&m->crew);
    free(m);
}
