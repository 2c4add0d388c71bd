/* The table of functions: which class calls which function, and how many there may be. */
#include "common/base/util.h"
#include "servers/serverless/functions.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct functions functions;

static void setup(void)
{
    functions_init(&functions, 7 * NSEC_PER_MSEC, "bad:40");
}

TestSuite(functions, .init = setup, .timeout = 30);

static struct function *find(const char *name)
{
    struct program program = {.steps = 0};
    snprintf(program.class_name, sizeof program.class_name, "%s", name);
    return functions_find(&functions, &program);
}

Test(functions, are_found_by_the_class_of_a_program)
{
    struct function *first = find("a");
    cr_assert_str_eq(first->name, "a");
    cr_assert(first->waiting_count == 0 && first->alive == 0 && first->starting == 0);
    cr_assert(TAILQ_EMPTY(&first->waiting) && LIST_EMPTY(&first->idle));
    cr_assert_eq(first->manner.start_up_ns, 7 * NSEC_PER_MSEC);
    cr_assert_neq(find("ab"), first);
    cr_assert_eq(find("a"), first);
    cr_assert_str_eq(find("")->name, "default");
    cr_assert_eq(find(""), find("default"));
    cr_assert_eq(functions.count, 3);
}

Test(functions, only_the_named_one_crashes)
{
    cr_assert_eq(find("bad")->manner.crash_percent, 40);
    cr_assert_eq(find("ba")->manner.crash_percent, 0);
    cr_assert_eq(find("bad2")->manner.crash_percent, 0);
    cr_assert_eq(find("")->manner.crash_percent, 0);
}

Test(functions, are_bounded)
{
    char name[8];
    for (int i = 0; i < FUNCTIONS_MAX; i++) {
        snprintf(name, sizeof name, "f%d", i);
        cr_assert_not_null(find(name));
    }
    cr_assert_null(find("one-more"));
    cr_assert_eq(functions.count, FUNCTIONS_MAX);
    cr_assert_str_eq(find("f0")->name, "f0");
}

Test(functions, have_names_of_any_length)
{
    char name[PROGRAM_CLASS_MAX + 1];
    memset(name, 'x', PROGRAM_CLASS_MAX);
    name[PROGRAM_CLASS_MAX] = 0;
    cr_assert_str_eq(find(name)->name, name);
}

Test(functions, add_up_their_accounts)
{
    find("a")->account[ACCOUNT_retries] = 2;
    find("b")->account[ACCOUNT_retries] = 3;
    cr_assert_eq(functions_sum(&functions, ACCOUNT_retries), 5);
    cr_assert_eq(functions_sum(&functions, ACCOUNT_given_up), 0);
}
