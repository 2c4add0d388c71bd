/* libpq: PostgreSQL's client library, loaded when it is first needed. It brings some twenty others
 * along (Kerberos, LDAP, TLS), whose pages each process would have and each fork would copy tables of, in
 * servers that never call a database. So a program is not linked with it: only its header is needed
 * to build. */
#ifndef ARCHBENCH_LIBPQ_H
#define ARCHBENCH_LIBPQ_H

#include <libpq-fe.h>

#define LIBPQ_FUNCTIONS(X)                                                                         \
    X(PQconninfoParse)                                                                             \
    X(PQconndefaults)                                                                              \
    X(PQconninfoFree)                                                                              \
    X(PQfreemem)                                                                                   \
    X(PQconnectStartParams)                                                                        \
    X(PQconnectPoll)                                                                               \
    X(PQstatus)                                                                                    \
    X(PQtransactionStatus)                                                                         \
    X(PQsocket)                                                                                    \
    X(PQerrorMessage)                                                                              \
    X(PQsetErrorVerbosity)                                                                         \
    X(PQsetNoticeReceiver)                                                                         \
    X(PQsetnonblocking)                                                                            \
    X(PQenterPipelineMode)                                                                         \
    X(PQexitPipelineMode)                                                                          \
    X(PQpipelineSync)                                                                              \
    X(PQsendPrepare)                                                                               \
    X(PQsendQueryPrepared)                                                                         \
    X(PQflush)                                                                                     \
    X(PQconsumeInput)                                                                              \
    X(PQisBusy)                                                                                    \
    X(PQgetResult)                                                                                 \
    X(PQresultStatus)                                                                              \
    X(PQresultErrorField)                                                                          \
    X(PQclear)                                                                                     \
    X(PQfinish)

/* Each under its own name. */
struct libpq {
#define X(name) __typeof__(name) *name;
    LIBPQ_FUNCTIONS(X)
#undef X
};

/* Dies when the system has no libpq.so.5. It stays loaded until the program ends. */
void libpq_load(struct libpq *);

#endif
