#include "loadgen/judge/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int error;
    const char *cause;
} limits[] = {
    {EADDRNOTAVAIL, "all ports from this source to this target are taken: use more sources "
                    "(--sources FIRST-LAST) or more targets"},
    {EMFILE, "a process may open no more descriptors: use more workers (-w)"},
    {ENFILE, "the system may open no more descriptors (sysctl fs.file-max)"},
    {ENOBUFS, "the kernel has no more memory for sockets (sysctl net.ipv4.tcp_mem)"},
    {ENOMEM, "the kernel has no more memory for sockets (sysctl net.ipv4.tcp_mem)"},
    {ETIMEDOUT, "perhaps the server's backlog is full: give it a longer one (--backlog), or let "
                "connections come more slowly (--ramp)"},
    {ECONNREFUSED, "nobody listens there"},
};

const char *limits_of_connecting(char text[LIMITS_TEXT], int error)
{
    const char *cause = NULL;

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].error == error)
            cause = limits[i].cause;
    snprintf(text, LIMITS_TEXT, "%s%s%s", strerror(error), cause ? ": " : "", cause ? cause : "");
    return text;
}
