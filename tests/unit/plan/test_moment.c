/* Tests of loadgen/plan/moment.c, and of requests that have one. */
#include "loadgen/plan/moment.h"
#include "loadgen/plan/requests.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(moment, has_as_many_digits_whatever_it_is)
{
    static const struct {
        int64_t ns;
        const char *digits;
    } cases[] = {{0, "00000000000000000000"},
                 {7, "00000000000000000007"},
                 {1234567890123, "00000001234567890123"},
                 {INT64_MAX, "09223372036854775807"}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[24] = "[xxxxxxxxxxxxxxxxxxxx]";

        moment_write(text + 1, cases[i].ns);
        cr_assert_eq(strncmp(text + 1, cases[i].digits, WORKLOAD_TIME_DIGITS), 0, "%s", text);
        cr_assert(text[0] == '[' && text[21] == ']', "%s", text);
    }
}

Test(moment, takes_the_place_of_its_mark)
{
    char out[MOMENT_TARGET];

    cr_assert_eq(moment_expand(out, "/work?count=a{time}&class=x"), 13);
    cr_assert_str_eq(out, "/work?count=a00000000000000000000&class=x");
    cr_assert_eq(moment_expand(out, "/{time}"), 1);
    cr_assert_str_eq(out, "/00000000000000000000");
    cr_assert_eq(moment_expand(out, "/work?x={tim}"), 0);
    cr_assert_str_eq(out, "/work?x={tim}");
}

Test(moment, has_room_in_the_longest_target)
{
    char out[MOMENT_TARGET], target[WORKLOAD_TARGET];

    memset(target, 'x', sizeof target);
    memcpy(target, "/{time}", 7);
    target[WORKLOAD_TARGET - 1] = '\0';
    cr_assert_eq(moment_expand(out, target), 1);
    cr_assert_eq(strlen(out), strlen(target) - 6 + WORKLOAD_TIME_DIGITS);
    cr_assert_eq(out[strlen(out) - 1], 'x');
}

static struct request built(const char *method, const char *path)
{
    static struct target target;
    static const struct option_list none;
    const struct request_parts parts = {.body_bytes = 3};
    struct request request;

    strcpy(target.url.host, "h");
    request_build(&request, &target, path, method, &none, &parts);
    return request;
}

Test(moment, is_written_over_in_a_request_that_is_ready)
{
    struct request request = built("POST", "/work?at={time}&n=1");

    for (int64_t ns = 5; ns < INT64_MAX / 10; ns *= 9) {
        char wanted[200];
        int len = snprintf(wanted, sizeof wanted,
                           "POST /work?at=%020lld&n=1 HTTP/1.1\r\nHost: h\r\nContent-Length: "
                           "3\r\n\r\nxxx",
                           (long long)ns);

        moment_write(request.bytes + request.time_at, ns);
        cr_assert_eq(request.len, (size_t)len);
        cr_assert_eq(memcmp(request.bytes, wanted, request.len), 0, "%s", request.bytes);
    }
    free(request.bytes);
}

Test(moment, is_in_no_other_request)
{
    struct request request = built("GET", "/work?at=1");

    cr_assert_eq(request.time_at, 0);
    free(request.bytes);
}
