/* requests: see requests.h. */
#include "loadgen/plan/requests.h"
#include "common/base/util.h"

#include <stdio.h>
#include <string.h>

/* "Name: value", and nothing that would end the line. */
static void check_header(const char *header)
{
    size_t name = strcspn(header, ": \t");

    if (strpbrk(header, "\r\n"))
        die("-H: a header is one line");
    if (name == 0 || header[name] != ':')
        die("-H: '%s' is not a header of the form 'Name: value'", header);
}

void requests_check_headers(const struct option_list *headers)
{
    for (int i = 0; i < headers->count; i++)
        check_header(headers->text[i]);
}

/* `name`: with its colon. */
static bool names(const struct option_list *headers, const char *name)
{
    for (int i = 0; i < headers->count; i++) {
        if (strncasecmp(headers->text[i], name, strlen(name)) == 0)
            return true;
    }
    return false;
}

static void write_request(FILE *out, const struct target *target, const char *path,
                          const char *method, const struct option_list *headers)
{
    fprintf(out, "%s %s HTTP/1.1\r\n", method, path);
    if (!names(headers, "Host:"))
        fprintf(out, "Host: %s\r\n", target->url.host);
    if (target->url.authorization[0] && !names(headers, "Authorization:"))
        fprintf(out, "Authorization: %s\r\n", target->url.authorization);
    for (int i = 0; i < headers->count; i++)
        fprintf(out, "%s\r\n", headers->text[i]);
    if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0)
        fprintf(out, "Content-Length: 0\r\n");
    fprintf(out, "\r\n");
}

void request_build(struct request *request, const struct target *target, const char *path,
                   const char *method, const struct option_list *headers)
{
    FILE *out = open_memstream(&request->bytes, &request->len);

    if (out)
        write_request(out, target, path, method, headers);
    if (!out || fclose(out) != 0)
        die("out of memory");
}
