/* The order books of a trial: what the server says of them at its end must be what its journal comes to, one
 * entry after the other, whoever was killed meanwhile. */
#include "cell/run.h"
#include "common/base/util.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void books_open(struct run *run)
{
    if (!run->setup->uses_books)
        return;
    run->journal = memfd_create("journal", MFD_CLOEXEC);
    if (run->journal < 0)
        die_errno("cannot make a memory file");
}

static const char *said_digest(const json_t *final)
{
    const char *digest = json_string_value(json_object_get(final, "book_digest"));
    return digest ? digest : "0000000000000000"; /* no operation was applied */
}

void books_check(struct run *run)
{
    struct book_check *check = &run->trial->book;
    char path[64], digest[17];
    if (run->journal < 0)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", run->journal);
    const char *reason = market_replay(path, &check->total, &check->skipped);
    if (reason) {
        run_add_reason(run, "the journal of the order books cannot be replayed: %s", reason);
        return;
    }
    check->replayed = true;
    snprintf(digest, sizeof digest, "%016" PRIx64, check->total.digest);
    check->agrees = strcmp(said_digest(run->trial->final), digest) == 0;
    if (!check->agrees)
        run_add_reason(run, "the order books are not what their journal comes to: %s, not %s",
                       said_digest(run->trial->final), digest);
}
