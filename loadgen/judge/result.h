/* result: a run that is over, with all that verdict, notes and reports need of it. */
#ifndef ARCHBENCH_RESULT_H
#define ARCHBENCH_RESULT_H

#include "loadgen/books/drift.h"
#include "loadgen/books/stats.h"
#include "loadgen/judge/criteria.h"
#include "loadgen/judge/search.h"
#include "loadgen/plan/plan.h"

enum { SENTENCES = 12, SENTENCE_TEXT = 320 };

/* What is to be said about a run. */
struct sentences {
    int count;
    char text[SENTENCES][SENTENCE_TEXT];
};

/* As printf. What is more than there is room for is cut off or left out. */
void sentences_add(struct sentences *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

enum { REFUSALS_MAX = 160, REFUSAL_METRIC = 64, REFUSAL_TEXT = 200 };

/* A number that may be wrong by more than can be accepted. See refusals.h. */
struct refusal {
    char metric[REFUSAL_METRIC]; /* "CLASS.METRIC" or "METRIC" as in summary.csv; *: any text */
    char reason[REFUSAL_TEXT];
};

struct refusals {
    int count;
    struct refusal refusal[REFUSALS_MAX];
};

struct result {
    const struct plan *plan;
    const struct shared *shared;
    const struct totals *totals;
    double duration_s; /* of the window, as it came out; 0: it never opened */
    int lost;          /* workers that died */
    struct drift drift;
    struct sentences verdict;    /* by verdict_judge: why no number can be trusted; none: valid */
    bool generator_at_fault;     /* by verdict_judge: a reason lies with the generator itself */
    struct holds server;         /* how others kept the server from its cores, as far as is known */
    double reach;                /* by refusals_judge: share of requests that holds may have kept */
    struct refusals refusals;    /* by refusals_judge: of a valid run */
    const struct search *search; /* that this run is the best of; NULL: it stands alone */
    struct sentences notes;      /* by notes_take: what a reader should know beside */
};

/* Per second of the window: requests intended, and good replies that came in. */
double result_offered_rate(const struct result *);
double result_achieved_rate(const struct result *);
/* Retries per request: the load that they put on top. */
double result_load_added(const struct result *);

/* The rate is to change within the window, by phases, a trace or bursts: what the halves show is no drift, and a
 * backlog for a moment is to be expected. */
bool result_load_varies(const struct result *);

/* What conditions see of it. Borrowed from the result. */
struct criteria_input result_for_criteria(const struct result *);

/* Replies (2xx or 3xx) whose digest was compared, and those of them that had none or the wrong one;
 * all attempts. */
uint64_t result_digests_checked(const struct result *);
uint64_t result_digests_wrong(const struct result *);

#endif
