/* workload_facts: what follows from the keys of a workload. See workload.h. */
#include "loadgen/plan/workload.h"

#include <stdio.h>
#include <string.h>

bool workload_has_class_rates(const struct workload *w)
{
    return w->class_count > 0 && w->class[0].rate.given;
}

bool workload_is_modulated(const struct workload *w)
{
    for (int i = 0; i < w->class_count; i++)
        if (w->class[i].modulation.load > 0)
            return true;
    return false;
}

static bool some_request_has(const struct workload *w, const char *step)
{
    for (int i = 0; i < w->class_count; i++)
        if (strstr(w->class[i].target, step))
            return true;
    return false;
}

bool workload_calls_upstream(const struct workload *w)
{
    return some_request_has(w, "io=upstream:") || some_request_has(w, "io=redis:") ||
           some_request_has(w, "io=sql:") || some_request_has(w, "io=backend:");
}

bool workload_uses_books(const struct workload *w)
{
    return some_request_has(w, "book=");
}

bool workload_reads_disk(const struct workload *w)
{
    return some_request_has(w, "io=disk:");
}

bool workload_class_publishes(const struct workload_class *class)
{
    return class->rooms > 0 && strstr(class->target, "publish") &&
           strstr(class->target, WORKLOAD_ROOM);
}

const char *component_name(enum component component)
{
    static const char *const names[COMPONENTS] = {
        [COMPONENT_REDIS] = "redis", [COMPONENT_POSTGRESQL] = "postgresql"};
    return names[component];
}

const char *arrivals_name(enum arrivals_kind kind)
{
    switch (kind) {
    case ARRIVALS_CLOSED: return "closed";
    case ARRIVALS_CONSTANT: return "constant";
    case ARRIVALS_POISSON: return "poisson";
    case ARRIVALS_BURSTS: return "bursts";
    case ARRIVALS_TRACE: return "trace";
    }
    return "?";
}

void workload_change_arrivals(struct workload *w, enum arrivals_kind kind)
{
    w->arrivals = kind;
    if (kind == ARRIVALS_CLOSED)
        w->rate = (struct rate){0};
    if (kind != ARRIVALS_BURSTS)
        w->burst = 0;
    for (int i = 0; i < w->class_count && kind != ARRIVALS_POISSON; i++)
        w->class[i].modulation = (struct modulation){0};
}

/* What is wrong with the arrivals, NULL: nothing. Some keys belong to some kinds of them only. */
static const char *disagreement(const struct workload *w)
{
    bool has_trace = w->arrivals == ARRIVALS_TRACE;
    bool has_rate = w->arrivals != ARRIVALS_CLOSED && !has_trace;

    if (has_rate && !w->rate.given && !workload_has_class_rates(w))
        return " arrivals need a rate";
    if (w->arrivals == ARRIVALS_CLOSED && w->rate.given)
        return " arrivals, but a rate needs constant, poisson or bursts arrivals";
    if (w->arrivals != ARRIVALS_BURSTS && w->burst > 0)
        return " arrivals, but burst needs bursts arrivals";
    if (!has_rate && workload_has_class_rates(w))
        return " arrivals, but classes with a rate need constant, poisson or bursts arrivals";
    if (!has_rate && w->phase_count > 0)
        return " arrivals, but phases need constant, poisson or bursts arrivals";
    if (has_trace && w->rate.given)
        return " arrivals have the rate of the trace and no other";
    if (has_trace && w->trace[0] == '\0')
        return " arrivals need a trace, the name of a file";
    if (!has_trace && w->trace[0] != '\0')
        return " arrivals, but a trace needs trace arrivals";
    if (w->kill_what == KILL_REDIS && !(w->components & 1u << COMPONENT_REDIS))
        return " arrivals, but kill_what = redis needs components = redis";
    if (w->kill_what == KILL_POSTGRESQL && !(w->components & 1u << COMPONENT_POSTGRESQL))
        return " arrivals, but kill_what = postgresql needs components = postgresql";
    if (w->arrivals != ARRIVALS_CLOSED && w->think.mean_ns > 0)
        return " arrivals, but think needs closed arrivals: others do not wait for replies";
    return NULL;
}

static bool is_sent(const struct workload_class *class)
{
    return (class->rate.given ? class->rate.value : class->weight) > 0;
}

/* The same of the keys of one class. */
static const char *modulation_disagreement(const struct workload *w, const struct modulation *m)
{
    bool any = m->load > 0 || m->length_ns > 0 || m->share > 0;

    if (!any)
        return NULL;
    if (m->load <= 0 || m->length_ns <= 0 || m->share <= 0)
        return "burst_load, burst_length and burst_share belong together";
    if (w->arrivals != ARRIVALS_POISSON)
        return "burst_load needs poisson arrivals";
    if (m->load * m->share > 1 + 1e-9)
        return "burst_load x burst_share is above 100 %: more than all would come in bursts";
    return NULL;
}

static const char *time_disagreement(const struct workload_class *class)
{
    const char *mark = strstr(class->target, WORKLOAD_TIME);

    return mark && strstr(mark + 1, WORKLOAD_TIME) ? "{time} can be in a request only once" : NULL;
}

/* Of keys that belong to WebSockets only. */
static const char *message_disagreement(const struct workload *w,
                                        const struct workload_class *class)
{
    if (!class->websocket && (class->one_way || class->rooms > 0))
        return "one_way and rooms need protocol = websocket";
    if (class->websocket &&
        (class->body_file[0] || class->send_rate > 0 || class->receive_rate > 0))
        return "a message has no file for its body, and is not slow";
    if (class->deaf && (class->rooms == 0 || is_sent(class)))
        return "deaf needs rooms, and a weight or rate of 0: what it asked for it would not hear";
    if (class->gather_ns > 0 && !class->one_way)
        return "gather needs one_way = yes: a request with a reply goes out at its moment";
    if (class->gather_ns >= w->timeout_ns)
        return "gather has to be shorter than timeout";
    if (class->one_way && w->arrivals == ARRIVALS_CLOSED)
        return "one_way needs arrivals that do not wait for a reply";
    if (class->one_way && workload_class_publishes(class))
        return "one_way messages are not known to be published: they cannot be accounted for";
    if (class->websocket && strcmp(class->method, "GET") != 0)
        return "a message has no method";
    if (class->websocket && class->body_bytes > 60000)
        return "body of a message is 60000 bytes at most";
    return NULL;
}

static const char *class_disagreement(const struct workload *w, const struct workload_class *class)
{
    const char *wrong = message_disagreement(w, class);

    if (!wrong)
        wrong = modulation_disagreement(w, &class->modulation);
    return wrong ? wrong : time_disagreement(class);
}

bool workload_agrees(const struct workload *w, char *error, size_t size)
{
    const char *wrong = disagreement(w);

    if (wrong)
        snprintf(error, size, "%s%s", arrivals_name(w->arrivals), wrong);
    for (int i = 0; i < w->class_count && !wrong; i++) {
        wrong = class_disagreement(w, &w->class[i]);
        if (wrong)
            snprintf(error, size, "class %s: %s", w->class[i].name, wrong);
    }
    return !wrong;
}
