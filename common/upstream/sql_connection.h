/* sql_connection: a connection to a PostgreSQL, through libpq's functions that do not wait. A pool uses it
 * through `sql_protocol` (pooled.h).
 *
 * When it has been made, all statements of the file are prepared on it in one round trip: libpq's
 * pipeline mode sends them one after the other and reads the answers together. The calls themselves
 * are not pipelined. A connection executes statements in their order: one that takes 100 ms would
 * hold up all that were sent behind it, while another connection is free; and its failure would be
 * theirs, too. So a call has its connection to itself, and the pool's size is what bounds the work that the
 * database is given.
 *
 * What a statement returns is read and thrown away. One that leaves a transaction open costs its
 * connection, since the next call must not be part of it.
 *
 * libpq closes its socket as soon as it sees the end, on whatever thread that happens; a loop may still
 * watch it then (upstream.h). So what others see is a duplicate of its descriptor. */
#ifndef ARCHBENCH_SQL_CONNECTION_H
#define ARCHBENCH_SQL_CONNECTION_H

#include "common/upstream/pooled.h"
#include "common/upstream/sql_database.h"

extern const struct upstream_protocol sql_protocol;

/* The SQLSTATE in a message that libpq wrote with all details, "FATAL:  53300: too many clients", as
 * text of five characters in it; NULL: it has none. Of a connection that was not made, libpq has it
 * nowhere else. */
const char *sql_state_in(const char *message);

#endif
