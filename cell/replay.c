/* replay: apply a journal of order books, one entry after the other, and say what comes of it. A server that
 * wrote the journal must have come to the same, whatever its threads and processes did. */
#include "common/base/options.h"
#include "common/base/util.h"
#include "common/work/book/market.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    const struct options options = {
        .program = "replay",
        .arguments = "FILE",
        .about = "apply a server's --book-journal, and print the digest of its books as JSON"};
    int operand = options_parse(&options, argc, argv);
    struct market_total total;
    uint64_t skipped;
    if (operand + 1 != argc)
        die("name one journal (see --help)");
    const char *reason = market_replay(argv[operand], &total, &skipped);
    if (reason)
        die("cannot replay '%s': %s", argv[operand], reason);
    printf("{\"digest\":\"%016llx\",\"entries\":%llu,\"skipped\":%llu,\"filled\":%llu,"
           "\"unfilled\":%llu}\n",
           (unsigned long long)total.digest, (unsigned long long)total.entries,
           (unsigned long long)skipped, (unsigned long long)total.filled,
           (unsigned long long)total.unfilled);
    return 0;
}
