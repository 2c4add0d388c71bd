/* cell: one server, one point of a workload, one trial: measured alone, judged, and left as a
 * folder OUT/WORKLOAD/POINT/SERVER.TRIAL/ that is there as a whole or not at all. */
#include "cell/about.h"
#include "cell/components.h"
#include "cell/report.h"
#include "cell/trial.h"
#include "common/base/options.h"
#include "common/base/util.h"
#include "common/work/disk.h"
#include "loadgen/plan/workload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_VALID = 0, EXIT_INVALID = 1, EXIT_SIGNAL = 128 };
enum { PATH_SIZE = 4096 };

struct cell {
    const char *server, *workload, *point, *out, *build;
    const char *arch; /* what results call the server, here with options of its own */
    int trial, connections, seed;
    bool about;      /* only say what is decided here */
    bool components; /* real ones where they are installed */
    bool again;      /* after an invalid attempt, whose folder is replaced */
    int64_t warmup_ns, duration_ns;
    char name[128]; /* of the workload: its file without folder and ending */
    char folder[PATH_SIZE], temporary[PATH_SIZE];
};

/* The workload's name, from its path. */
static void name_workload(struct cell *cell)
{
    const char *slash = strrchr(cell->workload, '/'), *base = slash ? slash + 1 : cell->workload;
    snprintf(cell->name, sizeof cell->name, "%.*s", (int)strcspn(base, "."), base);
}

static void parse(struct cell *cell, int argc, char **argv, int *first_extra)
{
    const struct option_row rows[] = {
        {"server", 's', OPTION_TEXT, &cell->server, "NAME", "architecture to measure", 0, 0},
        {"name", 'n', OPTION_TEXT, &cell->arch, "NAME",
         "what to call it, as a variant by its options (default: as the server)", 0, 0},
        {"workload", 'f', OPTION_TEXT, &cell->workload, "FILE", "the question to put to it", 0, 0},
        {"point", 'k', OPTION_TEXT, &cell->point, "POINT", "which point of the workload", 0, 0},
        {"trial", 't', OPTION_INT, &cell->trial, "N", "number of this repetition", 0, 0},
        {"out", 'o', OPTION_TEXT, &cell->out, "FOLDER", "where cells are kept", 0, 0},
        {"warmup", 0, OPTION_DURATION, &cell->warmup_ns, "TIME", "load before the window", 0, 0},
        {"duration", 'd', OPTION_DURATION, &cell->duration_ns, "TIME", "the window", 0, 0},
        {"connections", 'c', OPTION_INT, &cell->connections, "N",
         "instead of the workload's (0: as it says)", 0, 0},
        {"seed", 0, OPTION_INT, &cell->seed, "N", "of the arrivals (0: the generator's)", 0, 0},
        {"again", 0, OPTION_FLAG, &cell->again, NULL,
         "one more attempt: keep the reasons and logs of the invalid one in its place", 0, 0},
        {"components", 0, OPTION_FLAG, &cell->components, NULL,
         "start the workload's components, if they are installed; else the upstream plays them", 0,
         0},
        {"build", 0, OPTION_TEXT, &cell->build, "FOLDER", "where the programs are", 0, 0},
        {"about", 0, OPTION_FLAG, &cell->about, NULL,
         "print what this program decides of a measurement, as JSON, and stop", 0, 0},
        {0},
    };
    *first_extra =
        options_parse(&(struct options){"cell", "[-- server options]",
                                        "Measure one server on one workload point.", rows, NULL},
                      argc, argv);
}

static void check(struct cell *cell)
{
    char program[PATH_SIZE];
    if (!cell->server || !cell->workload || !cell->out)
        die("--server, --workload and --out are needed (see --help)");
    if (!cell->arch)
        cell->arch = cell->server;
    snprintf(program, sizeof program, "%s/servers/%s", cell->build, cell->server);
    if (access(program, X_OK))
        die_errno("no server '%s'", program);
    snprintf(program, sizeof program, "%s/loadgen", cell->build);
    if (access(program, X_OK))
        die_errno("no generator '%s'", program);
    if (cell->duration_ns <= 0)
        die("--duration: the window cannot be empty");
    name_workload(cell);
}

static void load_workload(const struct cell *cell, struct workload *workload)
{
    char error[512];
    if (!workload_load(workload, cell->workload, cell->point, error, sizeof error))
        die("%s", error);
    if (!workload_agrees(workload, error, sizeof error))
        die("%s: %s", cell->workload, error);
    if (workload->kill_ns >= cell->duration_ns)
        die("%s: kill = %gs is not before the end of the window, %gs", cell->workload,
            (double)workload->kill_ns / NSEC_PER_SEC, (double)cell->duration_ns / NSEC_PER_SEC);
}

/* How many connections are open at a time. */
static int connections_open(const struct cell *cell, const struct workload *workload)
{
    int open = (cell->connections ? cell->connections : workload->connections) + workload->idle;
    for (int i = 0; i < workload->class_count; i++)
        open += workload->class[i].connections;
    return open;
}

/* The options of the upstream that the workload's requests call; NULL when none does. */
static const char *upstream_options(const struct cell *cell, const struct workload *workload,
                                    const struct trial_setup *setup)
{
    char program[PATH_SIZE];
    if (!workload_calls_upstream(workload) || setup->has_component[COMPONENT_REDIS])
        return NULL;
    snprintf(program, sizeof program, "%s/upstream", cell->build);
    if (access(program, X_OK))
        die_errno("no upstream '%s'", program);
    return workload->upstream;
}

/* Make the file that servers read from, so that none has to do it under load. */
static void prepare_disk(const struct workload *workload)
{
    struct disk disk;
    struct disk_read read;
    if (!workload_reads_disk(workload))
        return;
    disk_init(&disk, NULL);
    int error = disk_begin(&disk, 1, &read);
    if (error)
        die("cannot prepare %s: %s", disk.path, strerror(-error));
    disk_end(&read);
    close(disk.fd);
}

/* mkdir -p */
static void make_folders(const char *path)
{
    char part[PATH_SIZE];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = part; slash; *slash = '/') {
        slash = strchr(slash + 1, '/');
        if (slash)
            *slash = 0;
        if (mkdir(part, 0755) && errno != EEXIST)
            die_errno("cannot make folder %s", part);
        if (!slash)
            return;
    }
}

static void name_folders(struct cell *cell)
{
    char parent[PATH_SIZE - 256];
    snprintf(parent, sizeof parent, "%s/%s/%s", cell->out, cell->name, cell->point);
    make_folders(parent);
    snprintf(cell->folder, sizeof cell->folder, "%s/%.100s.%d", parent, cell->arch, cell->trial);
    snprintf(cell->temporary, sizeof cell->temporary, "%s/.%.100s.%d.tmp.%d", parent, cell->arch,
             cell->trial, getpid());
}

/* Remove a folder and the plain files in it, if it is there. */
static void remove_folder(const char *path)
{
    char file[PATH_SIZE + 256];
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        unlink(file);
    }
    closedir(dir);
    rmdir(path);
}

static bool is_log(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && strcmp(dot, ".log") == 0;
}

static void copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    char part[PATH_SIZE];
    ssize_t n = 0;
    if (in < 0 || out < 0)
        die_errno("cannot copy %s", from);
    while ((n = read(in, part, sizeof part)) > 0)
        if (write(out, part, (size_t)n) != n)
            die_errno("cannot write %s", to);
    close(in);
    close(out);
}

/* Programs append to logs, so those of this attempt will follow these. */
static void copy_logs(const char *from, const char *to)
{
    char source[PATH_SIZE + 256], target[PATH_SIZE + 256];
    DIR *dir = opendir(from);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!is_log(entry->d_name))
            continue;
        snprintf(source, sizeof source, "%s/%s", from, entry->d_name);
        snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
        copy_file(source, target);
    }
    closedir(dir);
}

/* The generator names histograms PREFIX.CLASS.hgrm; in the folder of a cell they are CLASS.hgrm. */
static void rename_histograms(const char *folder)
{
    static const char prefix[] = "response.";
    char from[PATH_SIZE + 256], to[PATH_SIZE + 256];
    DIR *dir = opendir(folder);
    if (!dir)
        die_errno("cannot read %s", folder);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        snprintf(from, sizeof from, "%s/%s", folder, entry->d_name);
        snprintf(to, sizeof to, "%s/%s", folder, entry->d_name + strlen(prefix));
        rename(from, to);
    }
    closedir(dir);
}

/* Put the finished folder in its place in one step; an older one of the same cell is swapped out.
 */
static void publish(const struct cell *cell)
{
    if (rename(cell->temporary, cell->folder) == 0)
        return;
    if (renameat2(AT_FDCWD, cell->temporary, AT_FDCWD, cell->folder, RENAME_EXCHANGE))
        die_errno("cannot put %s in place", cell->folder);
    remove_folder(cell->temporary);
}

static json_t *iso_time(time_t at)
{
    char text[32];
    struct tm parts;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &parts));
    return json_string(text);
}

/* From here on we end with our parent, and only where we look for signals: so no way out leaves a
 * process or half a folder behind. SIGKILL alone leaves the folder, under a name that never counts.
 */
static int take_signals(pid_t parent)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        raise(SIGTERM); /* it was gone before we asked */
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0)
        die_errno("cannot wait for signals");
    return fd;
}

/* Samples are to be taken on time though all cores are busy, and not at the expense of the
 * generator, whose core we leave alone where there is another. What we start inherits neither. Not
 * granted: the samples carry their own times, so they are still right. */
static void hurry(const struct cores *cores)
{
    cpu_set_t others;
    CPU_XOR(&others, &cores->server, &cores->generator);
    CPU_AND(&others, &others, &cores->server); /* the server's alone; nothing with a single core */
    if (CPU_COUNT(&others) > 0)
        sched_setaffinity(0, sizeof others, &others);
    sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK,
                       &(struct sched_param){.sched_priority = 2});
}

static void write_json(const struct cell *cell, const json_t *json)
{
    char path[PATH_SIZE + 16];
    snprintf(path, sizeof path, "%s/cell.json", cell->temporary);
    if (json_dump_file(json, path, JSON_INDENT(1) | JSON_REAL_PRECISION(9)))
        die("cannot write %s", path);
}

/* The invalid attempts before this one: how many, and what was wrong with each. */
struct past {
    int attempts;
    json_t *reasons; /* owned by whoever reads the past */
};

/* Add the reasons of an attempt, each with its number. */
static void remember(struct past *past, int attempt, const json_t *reasons)
{
    for (size_t i = 0; i < json_array_size(reasons); i++)
        json_array_append_new(
            past->reasons,
            json_sprintf("attempt %d: %s", attempt, json_string_value(json_array_get(reasons, i))));
}

/* The same of numbers that were refused. */
static void remember_refused(struct past *past, int attempt, json_t *refused)
{
    for (void *i = json_object_iter(refused); i; i = json_object_iter_next(refused, i))
        json_array_append_new(past->reasons,
                              json_sprintf("attempt %d: %s: %s", attempt, json_object_iter_key(i),
                                           json_string_value(json_object_iter_value(i))));
}

/* The past of a cell, from the folder that this attempt is going to replace. There is none when it
 * holds a cell of which all is sure, or none. */
static struct past read_past(const struct cell *cell)
{
    struct past past = {0, json_array()};
    char path[PATH_SIZE + 16];
    snprintf(path, sizeof path, "%s/cell.json", cell->folder);
    json_t *json = cell->again ? json_load_file(path, 0, NULL) : NULL;
    const json_t *validity = json_object_get(json, "validity");
    const char *verdict = json_string_value(json_object_get(validity, "verdict"));
    json_t *refused = json_object_get(validity, "refused");
    if (verdict && (strcmp(verdict, "INVALID") == 0 || json_object_size(refused))) {
        past.attempts = (int)json_integer_value(json_object_get(json, "attempt"));
        json_array_extend(past.reasons, json_object_get(json, "earlier_reasons"));
        remember(&past, past.attempts, json_object_get(validity, "reasons"));
        remember_refused(&past, past.attempts, refused);
        copy_logs(cell->folder, cell->temporary);
    }
    json_decref(json);
    return past;
}

/* One line for whoever runs us. */
static void announce(const struct cell *cell, const json_t *reasons)
{
    size_t count = json_array_size(reasons);
    printf("%s %s/%s %s.%d", count ? "INVALID" : "VALID", cell->name, cell->point, cell->arch,
           cell->trial);
    for (size_t i = 0; i < count; i++)
        printf("%s %s", i ? ";" : ":", json_string_value(json_array_get(reasons, i)));
    printf("\n");
}

/* Describe the trial and put it in its place. */
static void keep(const struct cell *cell, const struct trial_setup *setup,
                 const struct trial *trial, const struct past *past)
{
    json_t *json = json_pack("{ss ss ss ss si so si sO}", "schema", "archbench-cell/1", "server",
                             cell->arch, "workload", cell->name, "point", cell->point, "trial",
                             cell->trial, "started", iso_time(trial->started), "attempt",
                             past->attempts + 1, "earlier_reasons", past->reasons);
    json_t *told = report_trial(setup, trial);
    json_object_update(json, told);
    json_decref(told);
    write_json(cell, json);
    json_decref(json);
    rename_histograms(cell->temporary);
    publish(cell);
    announce(cell, trial->reasons);
}

/* One attempt. It is kept, valid or not, unless a signal ended it: then what was there before
 * stays. Returns the exit status. */
static int run_cell(const struct cell *cell, const struct trial_setup *setup)
{
    make_folders(cell->temporary);
    struct past past = read_past(cell);
    struct trial trial = trial_run(setup);
    int status = json_array_size(trial.reasons) ? EXIT_INVALID : EXIT_VALID;
    if (trial.interrupted) {
        remove_folder(cell->temporary);
        status = EXIT_SIGNAL + trial.interrupted;
    } else {
        keep(cell, setup, &trial, &past);
    }
    trial_free(&trial);
    json_decref(past.reasons);
    return status;
}

int main(int argc, char **argv)
{
    pid_t parent = getppid();
    char build[PATH_SIZE];
    int first_extra;
    struct workload workload;
    struct cell cell = {.point = "base",
                        .build = build,
                        .trial = 1,
                        .warmup_ns = NSEC_PER_SEC,
                        .duration_ns = 3 * NSEC_PER_SEC};
    executable_folder(build, sizeof build);
    parse(&cell, argc, argv, &first_extra);
    if (cell.about) {
        about_print();
        return 0;
    }
    check(&cell);
    load_workload(&cell, &workload);
    prepare_disk(&workload);
    struct trial_setup setup = {
        .build = cell.build,
        .server = cell.server,
        .workload = cell.workload,
        .point = cell.point,
        .folder = cell.temporary,
        .server_options = workload.server_options,
        .extra = argv + first_extra,
        .reads_disk = workload_reads_disk(&workload),
        .uses_books = workload_uses_books(&workload),
        .connections = cell.connections,
        .open = connections_open(&cell, &workload),
        .seed = cell.seed,
        .warmup_ns = cell.warmup_ns,
        .duration_ns = cell.duration_ns,
        .kill_ns = workload.kill_ns,
        .kill_period_ns = workload.kill_period_ns,
        .kill_what = workload.kill_what,
        .cores = cores_divide(workload.placement == PLACEMENT_SHARED),
        .signals = take_signals(parent),
        .sql = workload.sql,
        .schema = workload.schema,
    };
    components_choose(&setup, &workload, cell.components);
    setup.upstream = upstream_options(&cell, &workload, &setup);
    name_folders(&cell);
    hurry(&setup.cores);
    return run_cell(&cell, &setup);
}
