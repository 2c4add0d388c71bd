/* result: see result.h. */
#include "loadgen/judge/result.h"

#include <stdarg.h>
#include <stdio.h>

void sentences_add(struct sentences *s, const char *format, ...)
{
    va_list args;

    if (s->count == SENTENCES)
        return;
    va_start(args, format);
    vsnprintf(s->text[s->count++], SENTENCE_TEXT, format, args);
    va_end(args);
}

double result_offered_rate(const struct result *r)
{
    return r->duration_s > 0 ? (double)r->totals->all.requests / r->duration_s : 0;
}

double result_achieved_rate(const struct result *r)
{
    return r->duration_s > 0 ? (double)r->totals->good_in_window / r->duration_s : 0;
}

double result_load_added(const struct result *r)
{
    const struct class_stats *all = &r->totals->all;

    return all->requests > 0 ? (double)all->retries / (double)all->requests : 0;
}

bool result_load_varies(const struct result *r)
{
    return r->plan->workload.phase_count > 0 || r->plan->arrivals == ARRIVALS_TRACE ||
           workload_is_modulated(&r->plan->workload);
}

uint64_t result_digests_checked(const struct result *r)
{
    uint64_t checked = 0;

    for (int i = 0; i < r->plan->class_count; i++) {
        const struct class_stats *stats = &r->totals->class[i];

        if (r->plan->class[i].has_digest)
            checked += stats->good + stats->failed[ERROR_digest];
    }
    return checked;
}

uint64_t result_digests_wrong(const struct result *r)
{
    return r->totals->all.failed[ERROR_digest];
}

struct criteria_input result_for_criteria(const struct result *r)
{
    return (struct criteria_input){.all = &r->totals->all,
                                   .class = r->totals->class,
                                   .class_count = r->plan->class_count,
                                   .duration_s = r->duration_s,
                                   .achieved_rate = result_achieved_rate(r)};
}
