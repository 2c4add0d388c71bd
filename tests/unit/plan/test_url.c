/* Tests of loadgen/plan/url.c: URLs as people write them. */
#include "loadgen/plan/url.h"

#include <criterion/criterion.h>
#include <string.h>

struct example {
    const char *text, *name, *host;
    int port;
    const char *target, *authorization;
};

static const struct example good[] = {
    {"http://a", "a", "a", 80, "/", ""},
    {"HTTP://a:8080/x?y=1", "a", "a:8080", 8080, "/x?y=1", ""},
    {"http://a/#x", "a", "a", 80, "/", ""},
    {"http://a#x", "a", "a", 80, "/", ""},
    {"http://a?q#x", "a", "a", 80, "/?q", ""},
    {"http://[::1]:8080/", "::1", "[::1]:8080", 8080, "/", ""},
    {"http://[::1]", "::1", "[::1]", 80, "/", ""},
    {"http://[fe80::1%25eth0]:1/", "fe80::1%eth0", "[fe80::1]:1", 1, "/", ""},
    {"http://user:pw@a:81/", "a", "a:81", 81, "/", "Basic dXNlcjpwdw=="},
    {"http://user:p%40w@a/", "a", "a", 80, "/", "Basic dXNlcjpwQHc="},
    {"http://user@a/x@y", "a", "a", 80, "/x@y", "Basic dXNlcjo="},
};

Test(url, is_taken_apart)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const struct example *e = &good[i];
        struct url url = {0};
        char error[256] = "";

        cr_assert(url_parse(&url, e->text, error, sizeof error), "%s: %s", e->text, error);
        cr_assert_str_eq(url.name, e->name, "%s", e->text);
        cr_assert_str_eq(url.host, e->host, "%s", e->text);
        cr_assert_eq(url.port, e->port, "%s", e->text);
        cr_assert_str_eq(url.target, e->target, "%s", e->text);
        cr_assert_str_eq(url.authorization, e->authorization, "%s", e->text);
        cr_assert_null(strstr(url.shown, "pw"), "%s shows a password", e->text);
    }
}

Test(url, mistakes_are_named)
{
    static const struct {
        const char *text, *complaint;
    } bad[] = {
        {"https://a/", "loadgen speaks no TLS"},
        {"HTTPS://a/", "loadgen speaks no TLS"},
        {"ftp://a/", "is not a URL of the form"},
        {"a:8080", "is not a URL of the form"},
        {"http://", "no host"},
        {"http:///x", "no host"},
        {"http://a:x/", "'x' is not a port"},
        {"http://a:0/", "'0' is not a port"},
        {"http://a:65536/", "'65536' is not a port"},
        {"http://::1/", "has brackets around it"},
        {"http://[::1/", "is not an IPv6 address in brackets"},
        {"http://[::1]x/", "is not an IPv6 address in brackets"},
        {"http://a b/", "no blanks"},
        {"http://a/x y", "write %20"},
        {"http://u%4:p@a/", "two hexadecimal digits"},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct url url = {0};
        char error[256] = "";

        cr_assert_not(url_parse(&url, bad[i].text, error, sizeof error), "accepted %s",
                      bad[i].text);
        cr_assert_not_null(strstr(error, bad[i].complaint), "%s: %s", bad[i].text, error);
    }
}
