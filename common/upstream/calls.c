#include "common/upstream/calls.h"
#include "common/base/util.h"

#include <stdlib.h>

struct call_options call_options_default(void)
{
    const char *upstream = getenv("ARCHBENCH_UPSTREAM");
    return (struct call_options){
        .upstream = upstream ? upstream : "127.0.0.1:6380",
        .upstream_pool = 64,
        .upstream_ns = NSEC_PER_SEC,
        .database = getenv("ARCHBENCH_DATABASE"),
        .database_pool = 50,
        .database_ns = NSEC_PER_SEC,
    };
}

static void read_statements(struct calls *calls, const char *path)
{
    char error[512];
    if (!statements_read(&calls->statements, path, error, sizeof error))
        die("--sql: %s", error);
    calls->database.statements = &calls->statements;
}

void calls_init(struct calls *calls, const struct call_options *options)
{
    if (options->upstream_ns <= 0 || options->database_ns <= 0)
        die("timeouts must be longer than 0");
    *calls = (struct calls){0};
    upstream_turns_init(&calls->turns);
    upstream_init(&calls->upstream, &calls->turns, options->upstream, options->upstream_pool,
                  options->upstream_ns);
    calls->upstream.expects_followers = options->follows;
    if (options->sql && options->database && *options->database) {
        sql_database_init(&calls->sql, options->database, &calls->statements);
        upstream_init_database(&calls->database, &calls->turns, &calls->sql, options->database_pool,
                               options->database_ns);
    } else {
        upstream_init_stand_in(&calls->database, &calls->upstream, options->database_pool,
                               options->database_ns);
    }
    if (options->sql)
        read_statements(calls, options->sql);
}

void calls_free(struct calls *calls)
{
    upstream_free(&calls->database);
    upstream_free(&calls->upstream);
    upstream_turns_free(&calls->turns);
    if (calls->sql.settings)
        sql_database_free(&calls->sql);
    statements_free(&calls->statements);
}
