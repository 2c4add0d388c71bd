#include "common/upstream/sql_connection.h"
#include "common/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum phase {
    PHASE_CONNECTING,
    PHASE_ASKING,  /* what is to be prepared goes out */
    PHASE_HEARING, /* whether it is */
    PHASE_CONNECTED,
};

struct sql_connection {
    struct pooled_connection pooled; /* first: it is one */
    const struct sql_database *database;
    PGconn *pg;
    enum phase phase;
    int prepared; /* statements that have been answered for */
    struct upstream_command command;
    bool begun; /* the command has been given to libpq */
    int error;  /* what the answer has said so far, as in upstream_answer */
    bool spent; /* ... after which no other statement should follow */
};

static struct sql_connection *own(struct pooled_connection *pooled)
{
    return container_of(pooled, struct sql_connection, pooled);
}

static const struct libpq *libpq_of(const struct sql_connection *connection)
{
    return &connection->database->libpq;
}

/* --- errors ----------------------------------------------------------------------------------- */

const char *sql_state_in(const char *message)
{
    enum { STATE_LEN = 5 };
    for (const char *at = strstr(message, ":  "); at; at = strstr(at + 1, ":  ")) {
        const char *state = at + 3;
        size_t len = strspn(state, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        if (len == STATE_LEN && state[len] == ':')
            return state;
    }
    return NULL;
}

static bool is_of_class(const char *state, const char *class)
{
    return state && strncmp(state, class, strlen(class)) == 0;
}

/* What a SQLSTATE means for whoever waits; `other`: for those that are not told apart. */
static int error_of(const char *state, int other)
{
    if (is_of_class(state, "53"))
        return -ENOSPC;
    if (is_of_class(state, "57P")) /* it is being stopped */
        return -ECONNRESET;
    return other;
}

/* What libpq says itself, because it cannot read on. The database's own words have a SQLSTATE. */
static int broken(const struct sql_connection *connection)
{
    bool open = libpq_of(connection)->PQstatus(connection->pg) == CONNECTION_OK;
    return open ? -EPROTO : -ECONNRESET;
}

static const char *reason(int error)
{
    switch (-error) {
    case ETIMEDOUT: return "the database did not answer in time";
    case EREMOTEIO: return "the database refused the statement";
    case ENOSPC: return "the database is full: of connections, memory or disk";
    case EACCES: return "the database refuses connections";
    case ENOEXEC: return "the database cannot prepare the statements";
    case EPROTO: return "the database's answer cannot be read";
    case ECONNRESET:
    case EPIPE: return "the database closed the connection";
    }
    return "cannot connect to the database";
}

/* --- to connect ------------------------------------------------------------------------------- */

static void ignore_notice(void *argument, const PGresult *result)
{
    (void)argument, (void)result;
}

static struct pooled_connection *open_sql(const struct upstream_target *target, int *error)
{
    const struct libpq *libpq = &target->database->libpq;
    PGconn *pg = sql_database_connect(target->database);
    int fd = pg ? fcntl(libpq->PQsocket(pg), F_DUPFD_CLOEXEC, 0) : -1;
    if (fd < 0) { /* without a socket PQerrorMessage() tells why */
        *error = pg && libpq->PQsocket(pg) >= 0 ? -errno : -ECONNREFUSED;
        if (pg)
            sql_database_complain(target->database, SQL_NOT_CONNECTED, NULL,
                                  libpq->PQerrorMessage(pg));
        libpq->PQfinish(pg);
        return NULL;
    }
    libpq->PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
    libpq->PQsetNoticeReceiver(pg, ignore_notice, NULL);
    struct sql_connection *connection = must_calloc(1, sizeof *connection);
    connection->pooled =
        (struct pooled_connection){.protocol = &sql_protocol, .fd = fd, .events = POLLOUT};
    connection->database = target->database;
    connection->pg = pg;
    return &connection->pooled;
}

/* libpq's own descriptor first: the duplicate keeps the number for a loop that has it. */
static void close_sql(struct pooled_connection *pooled)
{
    struct sql_connection *connection = own(pooled);
    libpq_of(connection)->PQfinish(connection->pg);
    close(pooled->fd);
    free(connection);
}

/* Have libpq send what it holds. It may have to read meanwhile: a server that cannot write reads no
 * more. */
static int flush(struct sql_connection *connection)
{
    const struct libpq *libpq = libpq_of(connection);
    connection->pooled.events = POLLIN | POLLOUT;
    int left = libpq->PQflush(connection->pg);
    if (left > 0 && libpq->PQconsumeInput(connection->pg))
        return -EAGAIN;
    return left ? -ECONNRESET : 0;
}

/* Not connected, and libpq says why. */
static int fail_to_connect(struct sql_connection *connection)
{
    const char *message = libpq_of(connection)->PQerrorMessage(connection->pg);
    const char *state = sql_state_in(message);
    sql_database_complain(connection->database, SQL_NOT_CONNECTED, NULL, message);
    if (!state || is_of_class(state, "57P")) /* nobody there, or somebody who is not ready yet */
        return -ECONNREFUSED;
    return error_of(state, -EACCES);
}

/* The database finds out what type each parameter has, but not of one that it does not see. */
static bool ask_for(struct sql_connection *connection, const struct statement *statement)
{
    enum { UNKNOWN = 0, TEXT = 25 };
    Oid types[STATEMENT_PARAMETERS_MAX];
    for (int i = 0; i < statement->parameters; i++)
        types[i] = statement->mentions[i] ? UNKNOWN : TEXT;
    return libpq_of(connection)
        ->PQsendPrepare(connection->pg, statement->name, statement->text, statement->parameters,
                        types);
}

/* Queue all statements, and what tells where their answers end. */
static bool ask_to_prepare(struct sql_connection *connection)
{
    const struct libpq *libpq = libpq_of(connection);
    const struct statements *statements = connection->database->statements;
    bool well = libpq->PQsetnonblocking(connection->pg, 1) == 0 &&
                libpq->PQenterPipelineMode(connection->pg);
    for (int i = 0; i < statements->count && well; i++)
        well = ask_for(connection, &statements->statement[i]);
    return well && libpq->PQpipelineSync(connection->pg);
}

static int connect_on(struct sql_connection *connection)
{
    switch (libpq_of(connection)->PQconnectPoll(connection->pg)) {
    case PGRES_POLLING_READING: connection->pooled.events = POLLIN; return -EAGAIN;
    case PGRES_POLLING_WRITING: connection->pooled.events = POLLOUT; return -EAGAIN;
    case PGRES_POLLING_OK: break;
    default: return fail_to_connect(connection);
    }
    connection->phase = PHASE_ASKING;
    return ask_to_prepare(connection) ? 0 : -ECONNRESET;
}

static int ask_on(struct sql_connection *connection)
{
    int error = flush(connection);
    if (!error)
        connection->phase = PHASE_HEARING;
    return error;
}

/* The failure of the statement whose turn it is to be prepared. */
static int fail_to_prepare(const struct sql_connection *connection, const PGresult *result)
{
    const struct libpq *libpq = libpq_of(connection);
    const char *state = libpq->PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = libpq->PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (!state)
        return broken(connection);
    sql_database_complain(connection->database, SQL_NOT_PREPARED,
                          &connection->database->statements->statement[connection->prepared],
                          message ? message : state);
    return error_of(state, -ENOEXEC);
}

/* 1: that was the last answer. */
static int hear_result(struct sql_connection *connection, const PGresult *result)
{
    switch (libpq_of(connection)->PQresultStatus(result)) {
    case PGRES_COMMAND_OK: return 0;
    case PGRES_PIPELINE_SYNC: return 1;
    case PGRES_FATAL_ERROR: return fail_to_prepare(connection, result);
    default: return -EPROTO;
    }
}

/* Each statement has its result, and a NULL behind it. */
static int hear_on(struct sql_connection *connection)
{
    const struct libpq *libpq = libpq_of(connection);
    int heard = 0;
    connection->pooled.events = POLLIN;
    if (!libpq->PQconsumeInput(connection->pg))
        return -ECONNRESET;
    while (heard == 0) {
        if (libpq->PQisBusy(connection->pg))
            return -EAGAIN;
        PGresult *result = libpq->PQgetResult(connection->pg);
        if (result)
            heard = hear_result(connection, result);
        else if (connection->prepared++ == connection->database->statements->count)
            heard = -EPROTO; /* no end in sight */
        libpq->PQclear(result);
    }
    if (heard < 0)
        return heard;
    connection->phase = PHASE_CONNECTED;
    return libpq->PQexitPipelineMode(connection->pg) ? 0 : -EPROTO;
}

static int finish_sql(struct pooled_connection *pooled)
{
    struct sql_connection *connection = own(pooled);
    int error = 0;
    while (!error && connection->phase != PHASE_CONNECTED) {
        switch (connection->phase) {
        case PHASE_CONNECTING: error = connect_on(connection); break;
        case PHASE_ASKING: error = ask_on(connection); break;
        case PHASE_HEARING: error = hear_on(connection); break;
        case PHASE_CONNECTED: break;
        }
    }
    return error;
}

/* --- a statement ------------------------------------------------------------------------------ */

static void set_sql(struct pooled_connection *pooled, const struct upstream_command *command)
{
    struct sql_connection *connection = own(pooled);
    connection->command = *command;
    connection->begun = false;
    connection->error = 0;
    connection->spent = false;
}

/* The argument and the ID go as text, which becomes whatever the statement wants; the payload goes byte by
 * byte, which a column of text or bytea takes as it is. libpq copies them. */
static bool give_statement(struct sql_connection *connection)
{
    const struct upstream_command *command = &connection->command;
    const struct statement *statement =
        &connection->database->statements->statement[command->statement];
    static const int formats[STATEMENT_PARAMETERS_MAX] = {0, 0, 1};
    struct span id = {(char *)"-", 1}, payload = {(char *)"", 0};
    char id_text[MESSAGE_ID_MAX + 1] = "";
    if (command->message) {
        id = command->message->id;
        payload = command->message->payload;
    }
    memcpy(id_text, id.data, id.len < sizeof id_text ? id.len : sizeof id_text - 1);
    const char *values[] = {command->name, id_text, payload.data};
    const int lens[] = {0, 0, (int)payload.len}; /* a text ends with a zero */
    return libpq_of(connection)
        ->PQsendQueryPrepared(connection->pg, statement->name, statement->parameters, values, lens,
                              formats, 0);
}

static int send_sql(struct pooled_connection *pooled)
{
    struct sql_connection *connection = own(pooled);
    if (!connection->begun && !give_statement(connection))
        return -ECONNRESET;
    connection->begun = true;
    return flush(connection);
}

/* What it was refused with is the call's result once the answer is complete. */
static int note_refusal(struct sql_connection *connection, const PGresult *result)
{
    const struct libpq *libpq = libpq_of(connection);
    const char *state = libpq->PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = libpq->PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (!state)
        return broken(connection);
    connection->error = error_of(state, -EREMOTEIO);
    /* What was prepared is gone, or no longer fits the tables: a new connection prepares anew. */
    connection->spent = is_of_class(state, "26000") || is_of_class(state, "0A000");
    if (connection->error == -EREMOTEIO)
        sql_database_complain(
            connection->database, SQL_NOT_EXECUTED,
            &connection->database->statements->statement[connection->command.statement],
            message ? message : state);
    return 0;
}

static int take_result(struct sql_connection *connection, const PGresult *result)
{
    switch (libpq_of(connection)->PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK: return 0;
    case PGRES_FATAL_ERROR: return note_refusal(connection, result);
    default: return -EPROTO; /* COPY has an exchange of its own, which nobody leads here */
    }
}

static struct upstream_answer answer_of(const struct sql_connection *connection)
{
    const struct libpq *libpq = libpq_of(connection);
    bool rests = libpq->PQstatus(connection->pg) == CONNECTION_OK &&
                 libpq->PQtransactionStatus(connection->pg) == PQTRANS_IDLE;
    return (struct upstream_answer){
        .complete = true, .usable = rests && !connection->spent, .error = connection->error};
}

/* What a statement has returned ends with a NULL. */
static int receive_sql(struct pooled_connection *pooled, struct upstream_answer *answer)
{
    struct sql_connection *connection = own(pooled);
    const struct libpq *libpq = libpq_of(connection);
    pooled->events = POLLIN;
    if (!libpq->PQconsumeInput(connection->pg))
        return connection->error ? connection->error : -ECONNRESET;
    while (!libpq->PQisBusy(connection->pg)) {
        PGresult *result = libpq->PQgetResult(connection->pg);
        if (!result) {
            *answer = answer_of(connection);
            return 0;
        }
        int error = take_result(connection, result);
        libpq->PQclear(result);
        if (error)
            return error;
    }
    return -EAGAIN;
}

const struct upstream_protocol sql_protocol = {
    .open = open_sql,
    .finish = finish_sql,
    .set_command = set_sql,
    .send = send_sql,
    .receive = receive_sql,
    .is_stale = pooled_has_input,
    .close = close_sql,
    .reason = reason,
};
