#include "common/upstream/sql_database.h"
#include "common/base/net.h"
#include "common/base/util.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const char *find(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val && *options->val ? options->val : NULL;
    return NULL;
}

static PQconninfoOption *parse(const struct libpq *libpq, const char *conninfo)
{
    char *error = NULL;
    PQconninfoOption *given = libpq->PQconninfoParse(conninfo, &error);
    if (!given)
        die("--database: %.*s", (int)strcspn(error ? error : "out of memory", "\n"),
            error ? error : "out of memory");
    return given;
}

static PQconninfoOption *defaults(const struct libpq *libpq)
{
    PQconninfoOption *found = libpq->PQconndefaults();
    if (found)
        return found;
    die("out of memory");
}

/* Those given, and the defaults of all others. */
static PQconninfoOption *complete(const struct libpq *libpq, const char *conninfo)
{
    PQconninfoOption *given = parse(libpq, conninfo), *all = defaults(libpq);
    for (PQconninfoOption *option = all; option->keyword; option++) {
        const char *value = find(given, option->keyword);
        if (value) {
            libpq->PQfreemem(option->val);
            option->val = must_strdup(value);
        }
    }
    libpq->PQconninfoFree(given);
    return all;
}

/* The address of the host, as text that the caller frees; NULL: it is a socket in a folder. */
static char *resolve(const PQconninfoOption *settings)
{
    const char *host = find(settings, "hostaddr"), *port = find(settings, "port");
    struct net_address address;
    char text[INET6_ADDRSTRLEN];
    long number;
    if (!host)
        host = find(settings, "host");
    if (host && strchr(host, ','))
        die("--database: one host and one port");
    if (!host || *host == '/' || *host == '@')
        return NULL;
    if (!parse_integer(port ? port : "", 1, 65535, &number))
        die("--database: one host and one port");
    if (!net_resolve(host, (int)number, &address))
        die("--database: cannot resolve the host '%s'", host);
    if (address.any.sa_family == AF_INET)
        inet_ntop(AF_INET, &address.v4.sin_addr, text, sizeof text);
    else
        inet_ntop(AF_INET6, &address.v6.sin6_addr, text, sizeof text);
    return must_strdup(text);
}

static void set(struct sql_database *database, int *count, const char *keyword, const char *value)
{
    database->keyword[*count] = keyword;
    database->value[*count] = value;
    ++*count;
}

/* Of a keyword that is there twice, libpq takes the last value. */
static void list_settings(struct sql_database *database)
{
    enum { OURS = 4 };
    size_t size = OURS + 1;
    int count = 0;
    for (const PQconninfoOption *option = database->settings; option->keyword; option++)
        size++;
    database->keyword = must_calloc(size, sizeof *database->keyword);
    database->value = must_calloc(size, sizeof *database->value);
    for (const PQconninfoOption *option = database->settings; option->keyword; option++)
        if (option->val)
            set(database, &count, option->keyword, option->val);
    if (database->address)
        set(database, &count, "hostaddr", database->address);
    set(database, &count, "sslmode", "disable");
    set(database, &count, "gssencmode", "disable");
}

void sql_database_init(struct sql_database *database, const char *conninfo,
                       const struct statements *statements)
{
    size_t size = SQL_TROUBLES * sizeof *database->said;
    *database = (struct sql_database){.statements = statements};
    libpq_load(&database->libpq);
    database->settings = complete(&database->libpq, conninfo);
    database->address = resolve(database->settings);
    list_settings(database);
    database->said = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (database->said == MAP_FAILED)
        die_errno("out of memory");
}

void sql_database_free(struct sql_database *database)
{
    munmap(database->said, SQL_TROUBLES * sizeof *database->said);
    database->libpq.PQconninfoFree(database->settings);
    free(database->keyword);
    free(database->value);
    free(database->address);
}

PGconn *sql_database_connect(const struct sql_database *database)
{
    return database->libpq.PQconnectStartParams(database->keyword, database->value, 0);
}

void sql_database_complain(const struct sql_database *database, enum sql_trouble trouble,
                           const struct statement *statement, const char *message)
{
    static const char *const kinds[] = {
        [SQL_NOT_CONNECTED] = "no connection",
        [SQL_NOT_PREPARED] = "cannot prepare",
        [SQL_NOT_EXECUTED] = "cannot execute",
    };
    if (atomic_flag_test_and_set(&database->said[trouble]))
        return;
    fprintf(stderr, "database: %s%s%s: %.*s\n", kinds[trouble], statement ? " " : "",
            statement ? statement->name : "", (int)strcspn(message, "\n"), message);
}
