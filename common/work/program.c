#include "common/work/program.h"
#include "common/base/util.h"
#include "common/work/book/operation.h"
#include "common/work/disk.h"

#include <stdio.h>
#include <string.h>

/* A new kind of step is a row here, a name in the enum and a case where it is performed. */
static const struct kind {
    const char *key, *name;
    struct step step; /* without its amount */
} kinds[] = {
    {"io", "timer", {.kind = STEP_TIMER}},
    {"io", "disk", {.kind = STEP_DISK}},
    {"io", "upstream", {.kind = STEP_UPSTREAM}},
    {"io", "redis", {.kind = STEP_REDIS}},
    {"io", "sql", {.kind = STEP_SQL}},
    {"io", "backend", {.kind = STEP_UPSTREAM}}, /* the older spelling, in files that people have */
    {"cpu", "hash", {.kind = STEP_WORK, .work = WORK_HASH}},
    {"cpu", "infer", {.kind = STEP_WORK, .work = WORK_INFER}},
    {"cpu", "image", {.kind = STEP_WORK, .work = WORK_IMAGE}},
    {"cpu", "json", {.kind = STEP_WORK, .work = WORK_JSON}},
    {"cpu", "risk", {.kind = STEP_WORK, .work = WORK_RISK}},
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode %XX from text into out. Returns the length, or -1 when it does not fit or is malformed. */
static int percent_decode(const char *text, size_t len, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
            if (low < 0)
                return -1;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (n == size || c == 0)
            return -1;
        out[n++] = c;
    }
    return (int)n;
}

static bool equals(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(text, word, len) == 0;
}

static bool is_name(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", text[i]))
            return false;
    return len > 0 && len <= PROGRAM_CLASS_MAX;
}

static const char *add_name(struct program *program, const char *text, size_t len)
{
    if (program->topics_len + len >= PROGRAM_TOPICS_BYTES)
        return "too many topics, keys, channels and statements";
    char *name = program->topics + program->topics_len;
    memcpy(name, text, len);
    name[len] = 0;
    program->topics_len = (uint8_t)(program->topics_len + len + 1);
    return NULL;
}

/* Of a topic, a key, a channel or a statement, which `step` is about. */
static const char *set_name(struct program *program, struct step *step, const char *text,
                            size_t len)
{
    _Static_assert((int)TOPIC_NAME_MAX == (int)PROGRAM_CLASS_MAX &&
                       (int)UPSTREAM_NAME_MAX == (int)PROGRAM_CLASS_MAX,
                   "is_name() is for all of them");
    if (!is_name(text, len))
        return "topics, keys and channels are names of 1 to 31 letters, digits, _ and -";
    step->topic = program->topics_len;
    return add_name(program, text, len);
}

/* NAME or NAME:ARGUMENT behind io=sql: The argument is kept behind the name. */
static const char *set_statement(struct program *program, struct step *step, const char *text,
                                 size_t len)
{
    const char *colon = memchr(text, ':', len);
    size_t name_len = colon ? (size_t)(colon - text) : len;
    size_t argument_len = colon ? len - name_len - 1 : 0;
    if (!is_name(text, name_len) || (colon && !is_name(colon + 1, argument_len)))
        return "io=sql takes NAME or NAME:ARGUMENT, each of 1 to 31 letters, digits, _ and -";
    const char *wrong = set_name(program, step, text, name_len);
    return wrong ? wrong : add_name(program, colon ? colon + 1 : "", argument_len);
}

/* VERB:NAME behind io=redis: */
static const char *set_command(struct program *program, struct step *step, const char *text,
                               size_t len)
{
    const char *colon = memchr(text, ':', len);
    size_t verb_len = colon ? (size_t)(colon - text) : 0;
    if (!upstream_verb_of(text, verb_len, &step->verb))
        return "io=redis takes get:KEY, set:KEY, incr:KEY or publish:CHANNEL";
    return set_name(program, step, colon + 1, len - verb_len - 1);
}

static const char *set_bytes(struct step *step, const char *text, size_t len)
{
    uint64_t bytes;
    if (!parse_size(text, len, &bytes) || bytes == 0 || bytes > DISK_READ_MAX)
        return "a read is of 1 to 1048576 bytes, written 4096 or 64k";
    step->bytes = (uint32_t)bytes;
    return NULL;
}

static const char *set_duration(struct step *step, const char *text, size_t len)
{
    if (!parse_duration(text, len, &step->amount_ns))
        return "a duration is written 250us, 10ms or 1.5s";
    if (step->amount_ns > PROGRAM_STEP_MAX_S * NSEC_PER_SEC)
        return "a step may last 60s at most";
    return NULL;
}

/* What is behind the step's kind. */
static const char *set_amount(struct program *program, struct step *step, const char *text,
                              size_t len)
{
    if (step->kind == STEP_DISK)
        return set_bytes(step, text, len);
    if (step->kind == STEP_REDIS)
        return set_command(program, step, text, len);
    if (step->kind == STEP_SQL)
        return set_statement(program, step, text, len);
    return set_duration(step, text, len);
}

/* KIND:AMOUNT behind io= or cpu=. */
static const char *add_step(struct program *program, const char *key, size_t key_len,
                            const char *value, size_t len)
{
    const char *colon = memchr(value, ':', len);
    if (!colon)
        return "a step is written KIND:AMOUNT, as in io=timer:10ms";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!equals(key, key_len, kinds[i].key) ||
            !equals(value, (size_t)(colon - value), kinds[i].name))
            continue;
        if (program->steps == PROGRAM_STEPS_MAX)
            return "too many steps";
        struct step *step = &program->step[program->steps++];
        *step = kinds[i].step;
        return set_amount(program, step, colon + 1, len - (size_t)(colon + 1 - value));
    }
    return "unknown kind of step";
}

static const char *add_count(struct program *program, const char *value)
{
    long count;
    if (program->steps == PROGRAM_STEPS_MAX)
        return "too many steps";
    if (!parse_integer(value, 0, PROGRAM_COUNT_MAX, &count))
        return "count= takes a number up to 1000000";
    program->step[program->steps++] = (struct step){.kind = STEP_COUNT, .count = (uint32_t)count};
    return NULL;
}

static const char *add_book(struct program *program, const char *value, size_t len)
{
    enum book_operation operation;
    struct step step = {.kind = STEP_BOOK};
    if (program->steps == PROGRAM_STEPS_MAX)
        return "too many steps";
    if (!book_operation_parse(value, len, &operation, &step.seed))
        return "book= takes update, trade or quote, and may add a number, as in book=trade:5";
    step.operation = (uint8_t)operation;
    program->step[program->steps++] = step;
    return NULL;
}

static const char *set_body(struct program *program, const char *value, size_t len)
{
    char digits[12] = {0};
    long bytes;
    if (program->sized)
        return "body= stands twice";
    if (len >= sizeof digits)
        return "body= is too large";
    memcpy(digits, value, len);
    if (!parse_integer(digits, 0, PROGRAM_BODY_MAX, &bytes))
        return "body= takes a number of bytes up to 16777216";
    program->body_bytes = (uint32_t)bytes;
    program->sized = true;
    return NULL;
}

static const char *set_class(struct program *program, const char *value, size_t len)
{
    if (*program->class_name)
        return "class= stands twice";
    if (!is_name(value, len))
        return "class= takes a name of 1 to 31 letters, digits, _ and -";
    memcpy(program->class_name, value, len);
    program->class_name[len] = 0;
    return NULL;
}

static const char *add_topic(struct program *program, enum step_kind kind, const char *value,
                             size_t len)
{
    if (program->steps == PROGRAM_STEPS_MAX)
        return "too many steps";
    struct step *step = &program->step[program->steps++];
    *step = (struct step){.kind = kind};
    return set_name(program, step, value, len);
}

static const char *add_pair(struct program *program, const char *pair, size_t len)
{
    char value[72 + 1]; /* io=sql: has two names */
    const char *equal = memchr(pair, '=', len);
    if (!equal)
        return "each part of the query is written KEY=VALUE";
    size_t key_len = (size_t)(equal - pair);
    int n = percent_decode(equal + 1, len - key_len - 1, value, sizeof value - 1);
    if (n < 0)
        return "a value is too long or badly percent-encoded";
    value[n] = 0;
    if (equals(pair, key_len, "io") || equals(pair, key_len, "cpu"))
        return add_step(program, pair, key_len, value, (size_t)n);
    if (equals(pair, key_len, "count"))
        return add_count(program, value);
    if (equals(pair, key_len, "book"))
        return add_book(program, value, (size_t)n);
    if (equals(pair, key_len, "publish"))
        return add_topic(program, STEP_PUBLISH, value, (size_t)n);
    if (equals(pair, key_len, "body"))
        return set_body(program, value, (size_t)n);
    if (equals(pair, key_len, "class"))
        return set_class(program, value, (size_t)n);
    return "unknown key: io, cpu, count, book, publish, body and class are known";
}

void program_init(struct program *program)
{
    program->steps = 0;
    program->sized = false;
    program->body_bytes = 0;
    program->class_name[0] = 0;
    program->topics_len = 0;
}

bool program_parse(struct program *program, const char *target, size_t len, const char **reason)
{
    static const char path[] = "/work";
    size_t path_len = sizeof path - 1;
    const char *end = target + len;

    program_init(program);
    *reason = "not a /work target";
    if (len < path_len || memcmp(target, path, path_len) != 0)
        return false;
    if (len == path_len)
        return true;
    if (target[path_len] != '?')
        return false;
    for (const char *pair = target + path_len + 1; pair < end;) {
        const char *stop = memchr(pair, '&', (size_t)(end - pair));
        if (!stop)
            stop = end;
        *reason = add_pair(program, pair, (size_t)(stop - pair));
        if (*reason)
            return false;
        pair = stop + 1;
    }
    return true;
}

bool program_parse_subscription(struct program *program, const char *target, size_t len,
                                const char **reason)
{
    static const struct {
        const char *begin;
        enum step_kind kind;
    } forms[] = {{"/subscribe?topic=", STEP_SUBSCRIBE}, {"/unsubscribe?topic=", STEP_UNSUBSCRIBE}};

    program_init(program);
    *reason = "write /subscribe?topic=NAME or /unsubscribe?topic=NAME";
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        size_t begin_len = strlen(forms[i].begin);
        if (len >= begin_len && memcmp(target, forms[i].begin, begin_len) == 0)
            *reason = add_topic(program, forms[i].kind, target + begin_len, len - begin_len);
    }
    return !*reason;
}

static bool is_about_topic(enum step_kind kind)
{
    switch (kind) {
    case STEP_PUBLISH:
    case STEP_SUBSCRIBE:
    case STEP_UNSUBSCRIBE: return true;
    case STEP_BOOK:
    case STEP_COUNT:
    case STEP_TIMER:
    case STEP_DISK:
    case STEP_UPSTREAM:
    case STEP_REDIS:
    case STEP_SQL:
    case STEP_WORK: return false;
    }
    return false;
}

bool program_has_topic(const struct program *program)
{
    if (program->topics_len)
        for (int i = 0; i < program->steps; i++)
            if (is_about_topic(program->step[i].kind))
                return true;
    return false;
}

const char *program_topic(const struct program *program, const struct step *step)
{
    return program->topics + step->topic;
}

const char *program_argument(const struct program *program, const struct step *step)
{
    const char *name = program_topic(program, step);
    return name + strlen(name) + 1;
}

static const struct kind *kind_of(const struct step *step)
{
    const struct kind *kind = kinds;
    while (kind->step.kind != step->kind || kind->step.work != step->work)
        kind++;
    return kind;
}

static int format_duration(const struct step *step, const struct kind *kind, char *text,
                           size_t size)
{
    static const struct unit {
        const char *name;
        int64_t ns;
    } units[] = {{"s", NSEC_PER_SEC}, {"ms", NSEC_PER_MSEC}, {"us", NSEC_PER_USEC}, {"ns", 1}};
    const struct unit *unit = units;

    while (step->amount_ns % unit->ns)
        unit++;
    return snprintf(text, size, "%s=%s:%lld%s", kind->key, kind->name,
                    (long long)(step->amount_ns / unit->ns), unit->name);
}

static int format_book(const struct step *step, char *text, size_t size)
{
    int len = snprintf(text, size, "book=");
    return len + book_operation_format((enum book_operation)step->operation, step->seed, text + len,
                                       size - (size_t)len);
}

static int format_statement(const struct program *program, const struct step *step, char *text,
                            size_t size)
{
    const char *argument = program_argument(program, step);
    return snprintf(text, size, "io=sql:%s%s%s", program_topic(program, step), *argument ? ":" : "",
                    argument);
}

static int format_step(const struct program *program, const struct step *step, char *text,
                       size_t size)
{
    if (step->kind == STEP_COUNT)
        return snprintf(text, size, "count=%u", step->count);
    if (step->kind == STEP_BOOK)
        return format_book(step, text, size);
    if (step->kind == STEP_PUBLISH)
        return snprintf(text, size, "publish=%s", program_topic(program, step));
    if (step->kind == STEP_REDIS)
        return snprintf(text, size, "io=redis:%s:%s", upstream_verb_name(step->verb),
                        program_topic(program, step));
    if (step->kind == STEP_SQL)
        return format_statement(program, step, text, size);
    const struct kind *kind = kind_of(step);
    if (step->kind == STEP_DISK)
        return snprintf(text, size, "%s=%s:%u", kind->key, kind->name, step->bytes);
    return format_duration(step, kind, text, size);
}

void program_format(const struct program *program, char *text)
{
    char *at = text, *end = text + PROGRAM_TEXT_MAX;
    char separator = '?';

    /* The longest step without a name is "book=update:18446744073709551615"; there are PROGRAM_STEPS_MAX at most,
     * and all names together have PROGRAM_TOPICS_BYTES. */
    at += snprintf(at, (size_t)(end - at), "/work");
    for (int i = 0; i < program->steps; i++, separator = '&') {
        *at++ = separator;
        at += format_step(program, &program->step[i], at, (size_t)(end - at));
    }
    if (program->sized) {
        at += snprintf(at, (size_t)(end - at), "%cbody=%u", separator, program->body_bytes);
        separator = '&';
    }
    if (*program->class_name)
        snprintf(at, (size_t)(end - at), "%cclass=%s", separator, program->class_name);
}
