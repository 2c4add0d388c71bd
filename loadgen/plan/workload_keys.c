/* workload_keys: see workload_keys.h. */
#include "loadgen/plan/workload_keys.h"
#include "common/base/util.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONNECTIONS = 10 * 1000 * 1000 };

/* Values. A take_ function serves a table below. */

static bool parse_real(const char *text, const char *unit, double *value)
{
    char *end;

    if (!isdigit((unsigned char)text[0]) && text[0] != '.')
        return false; /* strtod would take signs, blanks, inf and nan */
    *value = strtod(text, &end);
    return end != text && isfinite(*value) && strcmp(end, unit) == 0;
}

bool workload_parse_rate(const char *text, struct rate *rate)
{
    rate->given = true;
    rate->percent = strchr(text, '%') != NULL;
    return parse_real(text, rate->percent ? "%" : "", &rate->value);
}

bool workload_parse_think(const char *text, struct think *think)
{
    static const char fixed[] = "fixed ", exponential[] = "exponential ";

    think->fixed = strncmp(text, fixed, strlen(fixed)) == 0;
    if (think->fixed)
        text += strlen(fixed);
    else if (strncmp(text, exponential, strlen(exponential)) == 0)
        text += strlen(exponential);
    text += strspn(text, " \t");
    return parse_duration(text, strlen(text), &think->mean_ns);
}

static bool parse_word(const char *text, const char *const *words, int count, int *index)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

static bool take_arrivals(const char *text, void *field)
{
    static const char *const kinds[] = {"closed", "constant", "poisson", "bursts", "trace"};
    int index;

    if (!parse_word(text, kinds, 5, &index))
        return false;
    *(enum arrivals_kind *)field = (enum arrivals_kind)index;
    return true;
}

static bool take_placement(const char *text, void *field)
{
    static const char *const placements[] = {"shared", "split"};
    int index;

    if (!parse_word(text, placements, 2, &index))
        return false;
    *(enum placement *)field = (enum placement)index;
    return true;
}

/* Into an array of WORKLOAD_TARGET bytes or more. */
static bool take_text(const char *text, void *field)
{
    return snprintf(field, WORKLOAD_TARGET, "%s", text) < WORKLOAD_TARGET;
}

static bool take_text_not_empty(const char *text, void *field)
{
    return text[0] != '\0' && take_text(text, field);
}

/* Into an array of WORKLOAD_PATH bytes. */
static bool take_file(const char *text, void *field)
{
    return text[0] != '\0' && snprintf(field, WORKLOAD_PATH, "%s", text) < WORKLOAD_PATH;
}

/* They are checked by the program that they are for. */
static bool take_options(const char *text, void *field)
{
    return (text[0] == '\0' || strncmp(text, "--", 2) == 0) && take_text(text, field);
}

static bool take_integer(const char *text, long min, int *field)
{
    long number;

    if (!parse_integer(text, min, MAX_CONNECTIONS, &number))
        return false;
    *field = (int)number;
    return true;
}

static bool take_count(const char *text, void *field)
{
    return take_integer(text, 1, field);
}

static bool take_count_or_0(const char *text, void *field)
{
    return take_integer(text, 0, field);
}

static bool take_number(const char *text, void *field)
{
    return parse_real(text, "", field);
}

static bool take_share(const char *text, void *field)
{
    return take_number(text, field) && *(double *)field <= 1;
}

static bool take_rate(const char *text, void *field)
{
    return workload_parse_rate(text, field);
}

static bool take_rate_above_0(const char *text, void *field)
{
    return take_rate(text, field) && ((struct rate *)field)->value > 0;
}

/* Of a burst in comparison with the mean. */
static bool take_burst_load(const char *text, void *field)
{
    return take_number(text, field) && *(double *)field > 1;
}

/* "10%", of what is neither nothing nor all. */
static bool take_percentage(const char *text, void *field)
{
    double *share = field;

    if (!parse_real(text, "%", share))
        return false;
    *share /= 100;
    return *share > 0 && *share < 1;
}

static bool take_duration(const char *text, void *field)
{
    return parse_duration(text, strlen(text), field);
}

static bool take_duration_above_0(const char *text, void *field)
{
    return take_duration(text, field) && *(int64_t *)field > 0;
}

static bool take_duration_from_1ms(const char *text, void *field)
{
    return take_duration(text, field) && *(int64_t *)field >= NSEC_PER_MSEC;
}

static bool take_think(const char *text, void *field)
{
    return workload_parse_think(text, field);
}

static bool take_bytes(const char *text, void *field)
{
    uint64_t bytes;

    if (!parse_size(text, strlen(text), &bytes))
        return false;
    *(double *)field = (double)bytes;
    return true;
}

/* "4k" or "@FILE", into a whole class. */
static bool take_body(const char *text, void *field)
{
    struct workload_class *class = field;

    if (text[0] != '@')
        return take_bytes(text, &class->body_bytes);
    return text[1] != '\0' && snprintf(class->body_file, sizeof class->body_file, "%s", text + 1) <
                                  (int)sizeof class->body_file;
}

static bool take_protocol(const char *text, void *field)
{
    static const char *const protocols[] = {"http", "websocket"};
    int index;

    if (!parse_word(text, protocols, 2, &index))
        return false;
    *(bool *)field = index == 1;
    return true;
}

static bool take_yes(const char *text, void *field)
{
    static const char *const answers[] = {"no", "yes"};
    int index;

    if (!parse_word(text, answers, 2, &index))
        return false;
    *(bool *)field = index == 1;
    return true;
}

/* Names separated by blanks. */
static bool take_components(const char *text, void *field)
{
    char words[WORKLOAD_NAME * COMPONENTS], *rest = words, *word;
    unsigned *components = field;

    *components = 0;
    if (snprintf(words, sizeof words, "%s", text) >= (int)sizeof words)
        return false;
    while ((word = strtok_r(rest, " \t", &rest))) {
        int component = 0;
        while (component < COMPONENTS &&
               strcmp(word, component_name((enum component)component)) != 0)
            component++;
        if (component == COMPONENTS)
            return false;
        *components |= 1u << component;
    }
    return true;
}

static bool take_victim(const char *text, void *field)
{
    static const char *const victims[] = {"server", "oldest", "redis", "postgresql"};
    int index;

    if (!parse_word(text, victims, 4, &index))
        return false;
    *(enum victim_kind *)field = (enum victim_kind)index;
    return true;
}

/* "10" or "1..3". */
static bool take_load(const char *text, void *field)
{
    struct load *load = field;
    const char *dots = strstr(text, "..");
    char from[WORKLOAD_TARGET];

    if (!dots) {
        bool good = parse_real(text, "", &load->from);

        load->to = load->from;
        return good;
    }
    snprintf(from, sizeof from, "%.*s", (int)(dots - text), text);
    return parse_real(from, "", &load->from) && parse_real(dots + 2, "", &load->to);
}

/* "GET /path?query" or "/path?query", into a whole class. */
static bool take_request(const char *text, void *field)
{
    struct workload_class *class = field;
    const char *target = strchr(text, '/');
    size_t method = target ? (size_t)(target - text) : 0;

    if (!target || target[strcspn(target, " \t")] != '\0' || method > 16)
        return false;
    strcpy(class->method, "GET");
    if (method > 0) {
        if (text[method - 1] != ' ')
            return false;
        for (size_t i = 0; i < method - 1; i++) {
            if (!isupper((unsigned char)text[i]))
                return false;
        }
        snprintf(class->method, sizeof class->method, "%.*s", (int)method - 1, text);
    }
    return take_text(target, class->target);
}

/* Keys. */

#define NO_COUNT      "not a whole number from 1"
#define NO_COUNT_OR_0 "not a whole number from 0"
#define NO_DURATION   "not a duration such as 500ms or 2s"
#define NO_RATE       "neither requests per second nor a percentage"
#define NO_LOAD       "neither a load such as 10 nor a ramp such as 1..3"
#define NO_BYTES      "not a number of bytes per second such as 100 or 1k"

const struct key workload_keys[] = {
    {"question", take_text, offsetof(struct workload, question), "too long"},
    {"arrivals", take_arrivals, offsetof(struct workload, arrivals),
     "not closed, constant, poisson, bursts or trace"},
    {"placement", take_placement, offsetof(struct workload, placement), "not shared or split"},
    {"connections", take_count, offsetof(struct workload, connections), NO_COUNT},
    {"rate", take_rate_above_0, offsetof(struct workload, rate), NO_RATE},
    {"drain", take_duration_above_0, offsetof(struct workload, drain_ns), NO_DURATION},
    {"timeout", take_duration_above_0, offsetof(struct workload, timeout_ns), NO_DURATION},
    {"think", take_think, offsetof(struct workload, think),
     "not [fixed|exponential] and a duration such as 100ms"},
    {"retry_after", take_duration, offsetof(struct workload, retry_after_ns), NO_DURATION},
    {"burst", take_count, offsetof(struct workload, burst), NO_COUNT},
    {"trace", take_file, offsetof(struct workload, trace), "not the name of a file"},
    {"ramp", take_number, offsetof(struct workload, ramp), "not connections per second"},
    {"idle", take_count_or_0, offsetof(struct workload, idle), NO_COUNT_OR_0},
    {"churn", take_count_or_0, offsetof(struct workload, churn), NO_COUNT_OR_0},
    {"server_options", take_options, offsetof(struct workload, server_options),
     "not options such as --upstream-pool=500"},
    {"upstream", take_options, offsetof(struct workload, upstream),
     "not options such as --delay 1ms"},
    {"kill", take_duration, offsetof(struct workload, kill_ns), NO_DURATION},
    {"kill_period", take_duration, offsetof(struct workload, kill_period_ns), NO_DURATION},
    {"kill_what", take_victim, offsetof(struct workload, kill_what),
     "not server, oldest, redis or postgresql"},
    {"components", take_components, offsetof(struct workload, components),
     "not redis, postgresql or both"},
    {"sql", take_file, offsetof(struct workload, sql), "not the name of a file"},
    {"schema", take_file, offsetof(struct workload, schema), "not the name of a file"},
    {0},
};

const struct key class_keys[] = {
    {"weight", take_number, offsetof(struct workload_class, weight), "not a number from 0"},
    {"rate", take_rate, offsetof(struct workload_class, rate), NO_RATE},
    {"request", take_request, 0, "not [METHOD] /path?query"},
    {"connections", take_count_or_0, offsetof(struct workload_class, connections), NO_COUNT_OR_0},
    {"deadline", take_duration, offsetof(struct workload_class, deadline_ns), NO_DURATION},
    {"send_rate", take_bytes, offsetof(struct workload_class, send_rate), NO_BYTES},
    {"receive_rate", take_bytes, offsetof(struct workload_class, receive_rate), NO_BYTES},
    {"body", take_body, 0, "not a number of bytes such as 100 or 4k, nor @FILE"},
    {"protocol", take_protocol, offsetof(struct workload_class, websocket),
     "not http or websocket"},
    {"one_way", take_yes, offsetof(struct workload_class, one_way), "not yes or no"},
    {"deaf", take_yes, offsetof(struct workload_class, deaf), "not yes or no"},
    {"rooms", take_count_or_0, offsetof(struct workload_class, rooms), NO_COUNT_OR_0},
    {"gather", take_duration, offsetof(struct workload_class, gather_ns), NO_DURATION},
    {"burst_load", take_burst_load, offsetof(struct workload_class, modulation.load),
     "not a number above 1"},
    {"burst_length", take_duration_from_1ms, offsetof(struct workload_class, modulation.length_ns),
     "not a duration from 1ms"},
    {"burst_share", take_percentage, offsetof(struct workload_class, modulation.share),
     "not a percentage above 0 and below 100, such as 10%"},
    {0},
};

const struct key phase_keys[] = {
    {"duration", take_duration_above_0, offsetof(struct phase, length_ns), NO_DURATION},
    {"load", take_load, offsetof(struct phase, load), NO_LOAD},
    {"swing", take_share, offsetof(struct phase, swing), "not a number from 0 to 1"},
    {"period", take_duration_above_0, offsetof(struct phase, period_ns), NO_DURATION},
    {0},
};

const struct key profile_keys[] = {
    {"points", take_text, offsetof(struct profile, points), "too long"},
    {"servers", take_text_not_empty, offsetof(struct profile, servers), "not the names of servers"},
    {"twin", take_text, offsetof(struct profile, twin), "too long"},
    {"trials", take_count, offsetof(struct profile, trials), NO_COUNT},
    {"warmup", take_duration, offsetof(struct profile, warmup_ns), NO_DURATION},
    {"duration", take_duration, offsetof(struct profile, duration_ns), NO_DURATION},
    {"connections", take_count, offsetof(struct profile, connections), NO_COUNT},
    {0},
};

const struct key *key_find(const struct key *keys, const char *name)
{
    for (; keys->name; keys++) {
        if (strcmp(keys->name, name) == 0)
            return keys;
    }
    return NULL;
}

const char *const *words_of_section(const char *section)
{
    static const char *const report[] = {"part",   "place",      "measure", "shows",
                                         "figure", "throughput", NULL};
    static const char *const study[] = {"name", "id", "title", "order", NULL};

    if (strcmp(section, "report") == 0)
        return report;
    return strcmp(section, "case") == 0 ? study : NULL;
}

bool words_have(const char *const *words, const char *name)
{
    for (; *words; words++) {
        if (strcmp(*words, name) == 0)
            return true;
    }
    return false;
}
