#include "servers/serverless/recovery.h"
#include "servers/serverless/attempts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void refuse(const char *path, long error)
{
    die("--journal: '%s': %s", path,
        error == -EWOULDBLOCK ? "in use"
        : error == -EILSEQ    ? "is no journal"
                              : strerror((int)-error));
}

static void keep(struct platform *platform, const char *path, const struct journal_record *record)
{
    struct recovered found;
    if (!dead_letters_read(record, &found))
        die("--journal: '%s': is no journal of events", path);
    struct function *function = functions_find(&platform->functions, &found.program);
    dead_letters_recover(&platform->dead_letters, record->id, function ? function->name : "?",
                         &found, attempts_reason(found.reason));
}

void recovery_run(struct platform *platform, const char *path)
{
    struct journal_record *records;
    long count = journal_open(&platform->journal, path, &records);
    if (count < 0)
        refuse(path, count);
    for (long i = 0; i < count; i++)
        keep(platform, path, &records[i]);
    free(records);
    long error = journal_settle(&platform->journal);
    if (error)
        refuse(path, error);
}
