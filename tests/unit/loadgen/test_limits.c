/* Tests of loadgen/judge/limits.c: what a failed connection is said to have met. */
#include "loadgen/judge/limits.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(limits, each_comes_with_its_remedy)
{
    static const struct {
        int error;
        const char *remedy;
    } examples[] = {
        {EADDRNOTAVAIL, "--sources"}, {EMFILE, "-w"},      {ENFILE, "fs.file-max"},
        {ENOBUFS, "tcp_mem"},         {ENOMEM, "tcp_mem"}, {ETIMEDOUT, "--backlog"},
        {ECONNREFUSED, "nobody"},
    };
    char text[LIMITS_TEXT];

    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        limits_of_connecting(text, examples[i].error);
        cr_assert(strstr(text, strerror(examples[i].error)) == text, "%s", text);
        cr_assert(strstr(text, examples[i].remedy), "%s", text);
    }
}

Test(limits, another_error_is_what_the_system_says)
{
    char text[LIMITS_TEXT];

    cr_assert_str_eq(limits_of_connecting(text, EHOSTUNREACH), strerror(EHOSTUNREACH));
}
