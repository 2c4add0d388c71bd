/* criteria: see criteria.h. */
#include "loadgen/judge/criteria.h"
#include "common/base/util.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONDITION = 128, /* bytes of a condition's text, with its 0 */
    VALUE_TEXT = 80, /* bytes of a number with its unit; a number that is written takes half */
    DIGITS_MAX = 12,
};

/* What the reader of one text works on. */
struct parser {
    const char *const *class_name;
    int class_count;
    char *error;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static bool fail(const struct parser *p, const char *format,
                                                       ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(p->error, p->size, format, args);
    va_end(args);
    return false;
}

/* The text without the blanks around it; cuts in place. */
static char *trim(char *text)
{
    size_t len;

    text += strspn(text, " \t");
    len = strlen(text);
    while (len > 0 && strchr(" \t", text[len - 1]))
        text[--len] = '\0';
    return text;
}

/* A plain decimal number and then `unit`: strtod alone would also take "inf", "1e9" and "0x1p3". */
static bool parse_number(const char *text, const char *unit, double *value)
{
    size_t len = strspn(text, "0123456789.");
    char *end;

    *value = strtod(text, &end);
    return len > 0 && end == text + len && strcmp(end, unit) == 0;
}

static bool parse_metric(struct criterion *c, const char *text)
{
    static const char *const names[] = {
        [METRIC_MEAN] = "mean",     [METRIC_MAX] = "max",   [METRIC_ERRORS] = "errors",
        [METRIC_MISSED] = "missed", [METRIC_RATE] = "rate",
    };

    for (int i = METRIC_MEAN; i <= METRIC_RATE; i++) {
        if (strcmp(text, names[i]) == 0) {
            c->metric = (enum criterion_metric)i;
            return true;
        }
    }
    c->metric = METRIC_PERCENTILE;
    return text[0] == 'p' && parse_number(text + 1, "", &c->percent) && c->percent <= 100;
}

static bool is_latency(enum criterion_metric metric)
{
    return metric == METRIC_PERCENTILE || metric == METRIC_MEAN || metric == METRIC_MAX;
}

/* The place in `words` of the text before the first dot, or -1; *rest is what follows the dot. */
static int leading_word(const char *text, const char *const *words, int count, const char **rest)
{
    size_t len = strcspn(text, ".");

    for (int i = 0; i < count && text[len] == '.'; i++) {
        if (strlen(words[i]) == len && strncmp(words[i], text, len) == 0) {
            *rest = text + len + 1;
            return i;
        }
    }
    return -1;
}

/* [LATENCY.]METRIC */
static bool parse_measure(struct criterion *c, const char *text)
{
    static const char *const latencies[] = {"response", "service", "lag"};
    const char *metric;
    int latency = leading_word(text, latencies, 3, &metric);

    c->latency = LATENCY_RESPONSE;
    if (latency < 0)
        return parse_metric(c, text);
    c->latency = (enum criterion_latency)latency;
    return parse_metric(c, metric) && is_latency(c->metric);
}

/* [CLASS.][LATENCY.]METRIC. All requests come first, so that a class called "service" does not hide
 * the service time. */
static bool parse_name(const struct parser *p, struct criterion *c, const char *text)
{
    const char *measure = text;

    c->class = -1;
    if (strlen(text) >= sizeof c->name)
        return fail(p, "'%s' is too long for the left side of a condition", text);
    strcpy(c->name, text);
    if (parse_measure(c, text))
        return true;
    c->class = leading_word(text, p->class_name, p->class_count, &measure);
    if (c->class >= 0 && parse_measure(c, measure))
        return true;
    return fail(p,
                "'%s' is not [CLASS.][response.|service.|lag.] and p99, p99.9, ..., mean or max, "
                "nor [CLASS.] and errors, missed or rate",
                text);
}

static bool parse_value(const struct parser *p, struct criterion *c, const char *text)
{
    int64_t ns;

    c->share = false;
    if (is_latency(c->metric)) {
        if (!parse_duration(text, strlen(text), &ns))
            return fail(p, "%s: '%s' is not a duration such as 5ms or 1.5s", c->name, text);
        c->limit = (double)ns;
        return true;
    }
    if (parse_number(text, "", &c->limit))
        return true;
    if (c->metric == METRIC_RATE)
        return fail(p, "%s: '%s' is not a number of replies per second", c->name, text);
    c->share = parse_number(text, "%", &c->limit) && c->limit <= 100;
    return c->share ||
           fail(p, "%s: '%s' is neither a count nor a share such as 0.1%%", c->name, text);
}

/* Writes into `text`. */
static bool parse_condition(const struct parser *p, struct criterion *c, char *text)
{
    char *op = strpbrk(text, "<>");
    bool less, equal;

    if (*trim(text) == '\0')
        return fail(p, "a condition is missing: '' is not METRIC < VALUE");
    if (!op)
        return fail(p, "'%s' compares nothing: it has none of < <= > >=", trim(text));
    less = *op == '<';
    equal = op[1] == '=';
    *op = '\0';
    if (less)
        c->op = equal ? OP_AT_MOST : OP_LESS;
    else
        c->op = equal ? OP_AT_LEAST : OP_GREATER;
    return parse_name(p, c, trim(text)) && parse_value(p, c, trim(op + (equal ? 2 : 1)));
}

bool criteria_parse(struct criteria *criteria, const char *text, const char *const *class_name,
                    int class_count, char *error, size_t size)
{
    struct parser p = {class_name, class_count, error, size};
    char condition[CONDITION];

    criteria->count = 0;
    for (;;) {
        int len = (int)strcspn(text, ",");

        if (len >= CONDITION)
            return fail(&p, "'%.40s...' is too long for a condition", text);
        if (criteria->count == CRITERIA_MAX)
            return fail(&p, "'%.*s' is one condition too many: the most are %d", len, text,
                        CRITERIA_MAX);
        snprintf(condition, sizeof condition, "%.*s", len, text);
        if (!parse_condition(&p, &criteria->criterion[criteria->count], condition))
            return false;
        criteria->count++;
        if (text[len] == '\0')
            return true;
        text += len + 1;
    }
}

static const struct hist *latency_of(const struct class_stats *stats, enum criterion_latency kind)
{
    switch (kind) {
    case LATENCY_RESPONSE: return &stats->response;
    case LATENCY_SERVICE: return &stats->service;
    case LATENCY_LAG: return &stats->lag;
    }
    return NULL;
}

/* hist_mean leaves the infinite values out. */
static double mean_of(const struct hist *hist)
{
    return hist->infinite > 0 ? INFINITY : hist_mean(hist);
}

static double count_or_share(const struct criterion *c, uint64_t count, uint64_t requests)
{
    if (requests == 0)
        return NAN;
    return c->share ? 100 * (double)count / (double)requests : (double)count;
}

/* In the unit of the limit; NAN when it was not measured. */
static double measured(const struct criterion *c, const struct criteria_input *in)
{
    const struct class_stats *stats = in->all;
    const struct hist *latency;

    if (c->class >= in->class_count)
        return NAN;
    if (c->class >= 0)
        stats = &in->class[c->class];
    latency = latency_of(stats, c->latency);
    switch (c->metric) {
    case METRIC_PERCENTILE: return hist_percentile(latency, c->percent);
    case METRIC_MEAN: return mean_of(latency);
    case METRIC_MAX: return hist_percentile(latency, 100);
    case METRIC_ERRORS: return count_or_share(c, class_stats_errors(stats), stats->requests);
    case METRIC_MISSED: return count_or_share(c, stats->missed, stats->requests);
    case METRIC_RATE:
        if (in->duration_s <= 0)
            return NAN;
        return c->class < 0 ? in->achieved_rate : (double)stats->good / in->duration_s;
    }
    return NAN;
}

static bool compare(double value, enum criterion_op op, double limit)
{
    switch (op) {
    case OP_LESS: return value < limit;
    case OP_AT_MOST: return value <= limit;
    case OP_GREATER: return value > limit;
    case OP_AT_LEAST: return value >= limit;
    }
    return false;
}

struct scale {
    double unit;
    const char *name;
};

/* The unit in which a reader wants `value`, which is in that of the limit. */
static struct scale scale_of(const struct criterion *c, double value)
{
    static const struct scale scales[] = {{1e9, " s"}, {1e6, " ms"}, {1e3, " us"}, {1, " ns"}};
    int i = 0;

    if (!is_latency(c->metric))
        return (struct scale){1, c->share ? " %" : c->metric == METRIC_RATE ? "/s" : ""};
    while (i < 3 && value < scales[i].unit)
        i++;
    return scales[i];
}

/* A number with that many digits that count, at most: no exponent, no zeros at the end. */
static void format_number(double value, int digits, char *text, size_t size)
{
    int whole = value > 0 ? (int)floor(log10(value)) + 1 : 1; /* digits before the point */
    int decimals = digits > whole ? digits - whole : 0;
    size_t len = (size_t)snprintf(text, size, "%.*f", decimals, value);

    while (decimals > 0 && text[len - 1] == '0') {
        text[--len] = '\0';
        decimals--;
    }
    if (text[len - 1] == '.')
        text[len - 1] = '\0';
}

static void format_value(const struct criterion *c, double value, int digits, char *text,
                         size_t size)
{
    struct scale scale = scale_of(c, value);
    char number[VALUE_TEXT / 2];

    if (isinf(value)) {
        snprintf(text, size, "infinite");
        return;
    }
    format_number(value / scale.unit, digits, number, sizeof number);
    snprintf(text, size, "%s%s", number, scale.name);
}

/* Three digits, or as many as it takes to tell the value from the limit. */
static void explain(const struct criterion *c, double value, bool held, char *why, size_t size)
{
    static const char *const words[][2] = {
        [OP_LESS] = {"not below", "below"},
        [OP_AT_MOST] = {"above", "at most"},
        [OP_GREATER] = {"not above", "above"},
        [OP_AT_LEAST] = {"below", "at least"},
    };
    bool plural = c->metric == METRIC_ERRORS || c->metric == METRIC_MISSED;
    const char *verb = plural ? "are" : "is";
    char value_text[VALUE_TEXT], limit_text[VALUE_TEXT];
    int digits = 3;

    if (isnan(value)) {
        snprintf(why, size, "%s %s not known: nothing was measured", c->name, verb);
        return;
    }
    format_value(c, c->limit, DIGITS_MAX, limit_text, sizeof limit_text);
    do
        format_value(c, value, digits, value_text, sizeof value_text);
    while (strcmp(value_text, limit_text) == 0 && value != c->limit && ++digits <= DIGITS_MAX);
    snprintf(why, size, "%s %s %s, %s %s", c->name, verb, value_text, words[c->op][held],
             limit_text);
}

/* The first condition that holds, or does not hold, as `wanted` says; what was not measured is
 * always wanted, because it is to count against the run. */
static bool find(const struct criteria *criteria, const struct criteria_input *in, bool wanted,
                 char *why, size_t size)
{
    for (int i = 0; i < criteria->count; i++) {
        const struct criterion *c = &criteria->criterion[i];
        double value = measured(c, in);
        bool held = compare(value, c->op, c->limit);

        if (isnan(value) || held == wanted) {
            explain(c, value, held, why, size);
            return true;
        }
    }
    snprintf(why, size, "%s", "");
    return false;
}

bool criteria_hold(const struct criteria *criteria, const struct criteria_input *in, char *why,
                   size_t size)
{
    return !find(criteria, in, false, why, size);
}

bool criteria_any(const struct criteria *criteria, const struct criteria_input *in, char *why,
                  size_t size)
{
    return find(criteria, in, true, why, size);
}
