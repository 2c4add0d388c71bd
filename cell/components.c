#include "cell/components.h"
#include "common/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

/* It is in the project's folder, as is that of this program. The caller frees it. */
static char *program(void)
{
    char build[PATH_SIZE], *path;
    executable_folder(build, sizeof build);
    if (asprintf(&path, "%s/../bin/archbench", build) < 0)
        die("out of memory");
    return path;
}

static bool is_installed(enum component component)
{
    char *path = program();
    int status, null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pid_t pid = fork();
    if (pid < 0)
        die_errno("fork");
    if (pid == 0) {
        dup2(null, STDOUT_FILENO);
        execl(path, path, "component", component_name(component), "--installed", (char *)NULL);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    close(null);
    free(path);
    return status == 0;
}

void components_choose(struct trial_setup *setup, const struct workload *workload, bool wanted)
{
    setup->components = workload->components;
    for (enum component i = 0; i < COMPONENTS; i++)
        setup->has_component[i] = wanted && (workload->components & 1u << i) && is_installed(i);
}

static json_t *command_of(const struct run *run, enum component component)
{
    char *path = program();
    json_t *list = json_pack("[sss]", path, "component", component_name(component));
    free(path);
    if (component == COMPONENT_POSTGRESQL && run->setup->schema[0])
        json_array_append_new(list, json_sprintf("--schema=%s", run->setup->schema));
    return list;
}

/* On the cores of the upstream, for the reasons given at start_upstream(). */
bool components_start(struct run *run)
{
    const struct cores *cores = &run->setup->cores;
    for (enum component i = 0; i < COMPONENTS; i++) {
        struct component_trial *component = &run->trial->component[i];
        if (!run->setup->has_component[i])
            continue;
        component->command = command_of(run, i);
        if (!child_start(run, &run->component[i], component->command,
                         cores->shared ? cores->server : cores->generator, -1))
            return false;
    }
    return true;
}

/* The cgroup knows what the dead have used; what is left of the tree does not. */
int64_t components_cpu_ns(const struct run *run, enum component component)
{
    const struct child *child = &run->component[component];
    int64_t used_ns = child->pid ? cgroup_cpu_ns(&child->cgroup) : 0;
    return used_ns < 0 ? proc_tree_cpu_ns(child->pid) : used_ns;
}

bool components_kill(struct run *run, enum component component)
{
    struct killing *killing = &run->trial->killing;
    struct child *child = &run->component[component], *upstream = &run->upstream;
    struct rusage usage;
    killing->victim = child->pid ? VICTIM_COMPONENT : VICTIM_UPSTREAM;
    if (child->pid)
        return kill(child->pid, SIGUSR1) == 0; /* its supervisor kills it */
    if (!upstream->pid) {
        run_add_reason(run, "there was no %s to kill, and no upstream in its place",
                       component_name(component));
        return false;
    }
    int64_t killed_ns = now_ns();
    kill(upstream->pid, SIGKILL);
    child_reap(run, upstream, &usage);
    run->gone.upstream_cpu_ns += proc_rusage_cpu_ns(&usage);
    json_t *command = command_of_upstream(run);
    killing->restarted = child_start(run, upstream, command, upstream->cores, -1);
    json_decref(command);
    if (killing->count == 1)
        killing->back_s = (double)(now_ns() - killed_ns) / NSEC_PER_SEC;
    return killing->restarted;
}
