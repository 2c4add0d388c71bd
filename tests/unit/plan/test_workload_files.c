/* Tests of loadgen/plan/workload.c: files that a workload names, and the components that they are for. */
#include "tests/unit/plan/workload_file.h"

/* The folder of the file that `load` makes is /tmp. */
Test(workload, a_trace_is_named_from_the_folder_of_the_workload)
{
    static const char text[] = "[workload]\narrivals = trace\ntrace = %s\n[class a]\nrequest = /\n";
    struct workload w;
    char named[200];

    snprintf(named, sizeof named, text, "more/day.csv");
    cr_assert(load(&w, named, NULL), "%s", error);
    cr_assert_eq(w.arrivals, ARRIVALS_TRACE);
    cr_assert_str_eq(w.trace, "/tmp/more/day.csv");
    snprintf(named, sizeof named, text, "/var/day.csv");
    cr_assert(load(&w, named, NULL), "%s", error);
    cr_assert_str_eq(w.trace, "/var/day.csv");
}

Test(workload, a_trace_beside_a_workload_of_the_current_folder_has_no_folder)
{
    char name[] = "workload-XXXXXX", folder[] = "/tmp/archbench-folder-XXXXXX", raw[256] = "";
    static const char text[] =
        "[workload]\narrivals = trace\ntrace = a.csv\n[class a]\nrequest = /\n";
    struct workload w;
    bool loaded;
    int fd;

    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    fd = mkstemp(name);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    loaded = workload_load(&w, name, NULL, raw, sizeof raw);
    unlink(name);
    rmdir(folder);
    cr_assert(loaded, "%s", raw);
    cr_assert_str_eq(w.trace, "a.csv");
}

Test(workload, a_path_too_long_for_a_trace_is_an_error)
{
    char path[1300] = "/tmp", raw[2048] = "";
    static const char text[] =
        "[workload]\narrivals = trace\ntrace = a.csv\n[class a]\nrequest = /\n";
    char name[] = "/tmp/archbench-workload-XXXXXX";
    struct workload w;
    int fd = mkstemp(name);

    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    while (strlen(path) < 1100)
        strcat(path, "/././././.");
    strcat(path, name + strlen("/tmp"));
    bool loaded = workload_load(&w, path, NULL, raw, sizeof raw);

    unlink(name);
    cr_assert_not(loaded);
    cr_assert_not_null(strstr(raw, ": the path of '"), "%s", raw);
}

Test(workload, statements_and_a_schema_are_named_from_the_folder_of_the_workload)
{
    struct workload w;
    cr_assert(load(&w,
                   "[workload]\nsql = a.sql\nschema = more/b.sql\n[class a]\nrequest = /\n"
                   "[point one]\n[point two]\nsql = /var/c.sql\n",
                   "one"),
              "%s", error);
    cr_assert_str_eq(w.sql, "/tmp/a.sql");
    cr_assert_str_eq(w.schema, "/tmp/more/b.sql");
}

Test(workload, a_file_whose_name_has_no_room_is_refused)
{
    static const char *const keys[] = {"trace", "sql", "schema"};
    char text[1300], name[1100];
    struct workload w;

    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(text, sizeof text, "[workload]\n%s = %s\n[class a]\nrequest = /\n", keys[i], name);
        cr_assert_not(load(&w, text, NULL));
        cr_assert_not_null(strstr(error, "FILE:2: "), "%s", error);
    }
}

Test(workload, components_are_named_one_by_one)
{
    struct workload w;
    cr_assert(load(&w,
                   "[workload]\ncomponents = postgresql  redis\nkill = 1s\nkill_what = postgresql\n"
                   "[class a]\nrequest = /\n[point both]\n[point one]\ncomponents = redis\n"
                   "kill_what = server\n",
                   "both"),
              "%s", error);
    cr_assert_eq(w.components, 1u << COMPONENT_REDIS | 1u << COMPONENT_POSTGRESQL);
    cr_assert_eq(w.kill_what, KILL_POSTGRESQL);
    cr_assert_str_eq(component_name(COMPONENT_POSTGRESQL), "postgresql");
    cr_assert(load(&w,
                   "[workload]\nkill = 1s\nkill_what = oldest\n[class a]\nrequest = /\n"
                   "[point one]\n[point two]\nkill_what = server\n",
                   "one"),
              "%s", error);
    cr_assert_eq(w.kill_what, KILL_OLDEST);
}
