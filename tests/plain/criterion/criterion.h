/* A stand-in for Criterion where Criterion itself cannot run: its sandbox maps memory at addresses
 * that ThreadSanitizer has taken. Only what our tests use; each test runs in a forked child, and the
 * outcome is told as TAP. SANITIZE=thread puts this folder on the include path. */
#ifndef ARCHBENCH_PLAIN_CRITERION_H
#define ARCHBENCH_PLAIN_CRITERION_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct plain_test {
    const char *suite, *name; /* a suite's own entry has no name */
    void (*run)(void);
    void (*init)(void);
    void (*fini)(void); /* not after a test that fails */
    int exit_code;
    double timeout; /* seconds */
    struct plain_test *next;
};

static struct plain_test *plain_tests;

#define Test(SUITE, NAME, ...)                                                                     \
    static void SUITE##_##NAME(void);                                                              \
    static __attribute__((constructor)) void SUITE##_##NAME##_register(void)                       \
    {                                                                                              \
        static struct plain_test test = {.suite = #SUITE, .name = #NAME, ##__VA_ARGS__};           \
        test.run = SUITE##_##NAME;                                                                 \
        test.next = plain_tests;                                                                   \
        plain_tests = &test;                                                                       \
    }                                                                                              \
    static void SUITE##_##NAME(void)

#define TestSuite(SUITE, ...)                                                                      \
    static __attribute__((constructor)) void SUITE##_register(void)                                \
    {                                                                                              \
        static struct plain_test suite = {.suite = #SUITE, ##__VA_ARGS__};                         \
        suite.next = plain_tests;                                                                  \
        plain_tests = &suite;                                                                      \
    }                                                                                              \
    _Static_assert(true, "")

#define cr_assert(condition, ...)                                                                  \
    ((condition) ? (void)0                                                                         \
                 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition),                \
                    fprintf(stderr, " " __VA_ARGS__), fputc('\n', stderr), exit(1)))
#define cr_assert_not(condition, ...) cr_assert(!(condition), ##__VA_ARGS__)
#define cr_assert_eq(a, b, ...)       cr_assert((a) == (b), ##__VA_ARGS__)
#define cr_assert_neq(a, b, ...)      cr_assert((a) != (b), ##__VA_ARGS__)
#define cr_assert_gt(a, b, ...)       cr_assert((a) > (b), ##__VA_ARGS__)
#define cr_assert_geq(a, b, ...)      cr_assert((a) >= (b), ##__VA_ARGS__)
#define cr_assert_lt(a, b, ...)       cr_assert((a) < (b), ##__VA_ARGS__)
#define cr_assert_leq(a, b, ...)      cr_assert((a) <= (b), ##__VA_ARGS__)
#define cr_assert_null(a, ...)        cr_assert((a) == NULL, ##__VA_ARGS__)
#define cr_assert_not_null(a, ...)    cr_assert((a) != NULL, ##__VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)   cr_assert(strcmp(a, b) == 0, ##__VA_ARGS__)
#define cr_assert_float_eq(a, b, epsilon, ...)                                                     \
    cr_assert(fabs((a) - (b)) <= (epsilon), ##__VA_ARGS__)

/* What the test's suite has to say of it; none: an empty entry. */
static inline struct plain_test plain_suite_of(const struct plain_test *test)
{
    for (const struct plain_test *suite = plain_tests; suite; suite = suite->next)
        if (!suite->name && strcmp(suite->suite, test->suite) == 0)
            return *suite;
    return (struct plain_test){0};
}

static inline bool plain_passes(const struct plain_test *test)
{
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct plain_test suite = plain_suite_of(test);
        if (suite.init)
            suite.init();
        test->run();
        if (suite.fini)
            suite.fini();
        exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == test->exit_code;
}

int main(void)
{
    int number = 0, failed = 0;
    for (const struct plain_test *test = plain_tests; test; test = test->next) {
        if (!test->name)
            continue;
        bool passes = plain_passes(test);
        failed += !passes;
        printf("%s %d - %s::%s\n", passes ? "ok" : "not ok", ++number, test->suite, test->name);
    }
    printf("1..%d\n", number);
    return failed != 0;
}

#endif
