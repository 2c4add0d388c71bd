/* calls: all that a process calls: the upstream of io=upstream and io=redis, and the database of io=sql.
 *
 * Without a database the upstream stands in for it: a statement is then a wait of the time that the file
 * of statements gives it, over a pool of its own. So everything runs where no PostgreSQL is
 * installed. */
#ifndef ARCHBENCH_CALLS_H
#define ARCHBENCH_CALLS_H

#include "common/upstream/sql_database.h"
#include "common/upstream/statements.h"
#include "common/upstream/upstream.h"

/* What the command line says of it. The texts are the caller's, and stay. */
struct call_options {
    const char *upstream; /* HOST:PORT */
    const char *database; /* for libpq; NULL or empty: there is none */
    const char *sql; /* the file of statements; NULL: there is none, so nothing asks the database */
    int upstream_pool, database_pool;
    int64_t upstream_ns, database_ns;
    bool follows; /* it follows the upstream's channels: see expects_followers in upstream.h */
};

/* The process owns it; it does not move, and outlives all calls. */
struct calls {
    struct upstream_turns turns;
    struct upstream_pool upstream, database; /* the latter's statements: NULL without a file */
    struct statements statements;
    struct sql_database sql; /* all zero without a database */
};

/* The defaults, with what the environment says. */
struct call_options call_options_default(void);

/* Connects nothing. Dies when an option is wrong. */
void calls_init(struct calls *, const struct call_options *);
/* Close what is idle. No call may be under way. */
void calls_free(struct calls *);

#endif
