/* requests: see requests.h. */
#include "loadgen/plan/requests.h"
#include "common/base/util.h"
#include "loadgen/plan/moment.h"

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

static void write_filler(FILE *out, size_t bytes)
{
    for (; bytes > 0; bytes--)
        fputc('x', out);
}

/* The last field of the head, which is its length, and the file. False: it cannot be read. */
static bool copy_file(FILE *out, FILE *in)
{
    char buffer[65536];
    size_t n;

    if (fseek(in, 0, SEEK_END) != 0)
        return false;
    fprintf(out, "Content-Length: %ld\r\n\r\n", ftell(in));
    rewind(in);
    while ((n = fread(buffer, 1, sizeof buffer, in)) > 0)
        fwrite(buffer, 1, n, out);
    return !ferror(in);
}

static void write_file(FILE *out, const char *name)
{
    FILE *in = fopen(name, "rb");
    bool copied = in && copy_file(out, in);

    if (!copied)
        die_errno("cannot read the body '%s'", name);
    fclose(in);
}

/* The end of the head, and the body. */
static void write_body(FILE *out, const char *method, const struct request_parts *parts)
{
    bool has_length = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0;

    if (parts->file) {
        write_file(out, parts->file);
        return;
    }
    if (has_length || parts->body_bytes > 0)
        fprintf(out, "Content-Length: %zu\r\n", parts->body_bytes);
    fprintf(out, "\r\n");
    write_filler(out, parts->body_bytes);
}

static void write_request(FILE *out, const struct target *target, const char *path,
                          const char *method, const struct option_list *headers,
                          const struct request_parts *parts)
{
    fprintf(out, "%s %s HTTP/1.1\r\n", method, path);
    if (!names(headers, "Host:"))
        fprintf(out, "Host: %s\r\n", target->url.host);
    if (target->url.authorization[0] && !names(headers, "Authorization:"))
        fprintf(out, "Authorization: %s\r\n", target->url.authorization);
    for (int i = 0; i < headers->count; i++)
        fprintf(out, "%s\r\n", headers->text[i]);
    if (parts->fields)
        fprintf(out, "%s", parts->fields);
    write_body(out, method, parts);
}

void request_build(struct request *request, const struct target *target, const char *path,
                   const char *method, const struct option_list *headers,
                   const struct request_parts *parts)
{
    FILE *out = open_memstream(&request->bytes, &request->len);
    char expanded[MOMENT_TARGET];
    size_t time_at = moment_expand(expanded, path);

    request->time_at = time_at > 0 ? strlen(method) + 1 + time_at : 0;
    if (out)
        write_request(out, target, expanded, method, headers, parts);
    if (!out || fclose(out) != 0)
        die("out of memory");
}
