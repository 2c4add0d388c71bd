/* sql_database: a PostgreSQL that statements are executed by: where it is, and what every connection to
 * it needs. */
#ifndef ARCHBENCH_SQL_DATABASE_H
#define ARCHBENCH_SQL_DATABASE_H

#include "common/upstream/libpq.h"
#include "common/upstream/statements.h"

#include <stdatomic.h>

/* What is said on stderr, each once. */
enum sql_trouble {
    SQL_NOT_CONNECTED,
    SQL_NOT_PREPARED,
    SQL_NOT_EXECUTED,
    SQL_TROUBLES,
};

struct sql_database {
    struct libpq libpq;
    const struct statements *statements; /* those to be prepared on each connection */
    PQconninfoOption *settings;    /* all that libpq knows, so that a connect looks nothing up */
    const char **keyword, **value; /* those that are set, each list with a NULL at its end */
    char *address;                 /* of the host, among the values; or NULL */
    atomic_flag *said;             /* [SQL_TROUBLES], shared with forked processes */
};

/* `conninfo` as libpq has it: "host=127.0.0.1 port=5432 user=a dbname=b". What it leaves out comes from
 * libpq's variables ($PGHOST, $PGUSER ...) and defaults. TLS and GSSAPI are off, whatever it says: with
 * them a connect may begin anew on another socket. For the same reason one host is allowed, of which the
 * name is resolved here. Connects nothing. Dies when this cannot be understood. */
void sql_database_init(struct sql_database *, const char *conninfo, const struct statements *);
void sql_database_free(struct sql_database *);

/* Start to connect. NULL: no memory. */
PGconn *sql_database_connect(const struct sql_database *);

/* Print the first line of `message`, and of which statement (NULL: of none) it is, if this kind of
 * trouble has not been printed before. */
void sql_database_complain(const struct sql_database *, enum sql_trouble, const struct statement *,
                           const char *message);

#endif
