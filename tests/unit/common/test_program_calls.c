/* Steps that call something, by name: a key, a channel, a statement. */
#include "common/work/program.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct calibration calibration = {.units_per_ms = {100, 100, 100, 100, 100}};

static bool parses(struct program *program, const char *target)
{
    const char *reason;
    return program_parse(program, target, strlen(target), &reason);
}

Test(program_calls, calls_have_an_older_spelling)
{
    char text[PROGRAM_TEXT_MAX];
    struct program p;
    cr_assert(parses(&p, "/work?io=backend:20ms"));
    cr_assert(p.steps == 1 && p.step[0].kind == STEP_UPSTREAM);
    program_format(&p, text);
    cr_assert_str_eq(text, "/work?io=upstream:20ms");
}

Test(program_calls, a_redis_step_has_a_verb_and_a_name)
{
    struct program p;
    cr_assert(parses(&p, "/work?io=redis:get:a&io=redis:set:B-9_&io=redis:incr:0&io=redis:publish:"
                         "1234567890123456789012345678901"));
    static const enum upstream_verb verbs[] = {UPSTREAM_GET, UPSTREAM_SET, UPSTREAM_INCR,
                                               UPSTREAM_PUBLISH};
    static const char *const names[] = {"a", "B-9_", "0", "1234567890123456789012345678901"};
    cr_assert_eq(p.steps, 4);
    for (int i = 0; i < 4; i++) {
        cr_assert(p.step[i].kind == STEP_REDIS && p.step[i].verb == verbs[i]);
        cr_assert_str_eq(program_topic(&p, &p.step[i]), names[i]);
        cr_assert_eq(p.step[i].amount_ns, 0);
    }
    cr_assert_not(program_has_cpu(&p));
    cr_assert_eq(program_digest(&p, &calibration), 0);
}

Test(program_calls, a_statement_has_a_name_and_perhaps_an_argument)
{
    struct program p;
    cr_assert(parses(&p, "/work?io=sql:a&io=sql:add-1:room_7&publish=b&io=sql:"
                         "1234567890123456789012345678901:1234567890123456789012345678901"));
    static const char *const names[] = {"a", "add-1", "b", "1234567890123456789012345678901"};
    static const char *const arguments[] = {"", "room_7", NULL, "1234567890123456789012345678901"};
    cr_assert_eq(p.steps, 4);
    for (int i = 0; i < 4; i++) {
        cr_assert_str_eq(program_topic(&p, &p.step[i]), names[i]);
        cr_assert_eq(p.step[i].kind == STEP_SQL, arguments[i] != NULL);
        if (arguments[i])
            cr_assert_str_eq(program_argument(&p, &p.step[i]), arguments[i]);
    }
    cr_assert_not(program_has_cpu(&p));
    cr_assert_eq(program_digest(&p, &calibration), 0);
    cr_assert(parses(&p, "/work?io=sql:a:b"));
    cr_assert_not(program_has_topic(&p));
}

/* A key needs nothing of the server's own topics, beside which its name is kept. */
Test(program_calls, keys_are_no_topics)
{
    struct program p;
    cr_assert(parses(&p, "/work?io=redis:publish:a&io=redis:get:b"));
    cr_assert_not(program_has_topic(&p));
    cr_assert(parses(&p, "/work?io=redis:publish:a&io=timer:1ms&publish=c&io=redis:get:b"));
    cr_assert(program_has_topic(&p));
    cr_assert_str_eq(program_topic(&p, &p.step[0]), "a");
    cr_assert_str_eq(program_topic(&p, &p.step[2]), "c");
    cr_assert_str_eq(program_topic(&p, &p.step[3]), "b");
}

Test(program_calls, names_share_128_bytes)
{
    struct program p;
    cr_assert(parses(&p, "/work?io=redis:get:1234567890123456789012345678901&"
                         "publish=1234567890123456789012345678901&"
                         "io=redis:set:1234567890123456789012345678901&"
                         "io=redis:incr:123456789012345678901234567890&"));
    cr_assert_not(parses(&p, "/work?io=redis:get:1234567890123456789012345678901&"
                             "publish=1234567890123456789012345678901&"
                             "io=redis:set:1234567890123456789012345678901&"
                             "io=redis:incr:123456789012345678901234567890&io=redis:get:a"));
    cr_assert(parses(&p, "/work?io=sql:1234567890123456789012345678901:"
                         "1234567890123456789012345678901&"
                         "io=sql:1234567890123456789012345678901:"
                         "123456789012345678901234567890&"));
    cr_assert_not(parses(&p, "/work?io=sql:1234567890123456789012345678901:"
                             "1234567890123456789012345678901&"
                             "io=sql:1234567890123456789012345678901:"
                             "1234567890123456789012345678901&io=sql:a"));
    cr_assert_not(parses(&p, "/work?io=sql:1234567890123456789012345678901:"
                             "1234567890123456789012345678901&"
                             "io=sql:1234567890123456789012345678901:"
                             "12345678901234567890123456789&io=sql:a"),
                  "an argument that is not there has its zero too");
}
