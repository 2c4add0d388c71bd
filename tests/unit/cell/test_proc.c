/* Known answers: children that use a known amount of something. */
#include "cell/system/host.h"
#include "cell/system/proc.h"
#include "common/base/util.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 64, TOUCHED_KB = 8192, SLEEPS = 200 };

/* ThreadSanitizer adds threads of its own to a process that makes threads. */
static void assert_tasks(int tasks, int ours)
{
#ifdef __SANITIZE_THREAD__
    cr_assert_geq(tasks, ours, "%d", tasks);
#else
    cr_assert_eq(tasks, ours, "%d", tasks);
#endif
}

/* A child that has run `act` and waits to be looked at; it dies with us. */
struct child {
    pid_t pid;
    int64_t reported; /* what act returned */
};

static struct child spawn(int64_t (*act)(void))
{
    int report[2];
    struct child child;
    cr_assert_eq(pipe(report), 0);
    child.pid = fork();
    if (child.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int64_t result = act();
        if (write(report[1], &result, sizeof result) == sizeof result)
            pause();
        _exit(1);
    }
    cr_assert_eq(read(report[0], &child.reported, sizeof child.reported),
                 (ssize_t)sizeof child.reported);
    close(report[0]);
    close(report[1]);
    return child;
}

static void finish(struct child child)
{
    kill(child.pid, SIGKILL);
    waitpid(child.pid, NULL, 0);
}

static int64_t spent_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

static int64_t burn(int64_t ns)
{
    int64_t begin = spent_ns(CLOCK_THREAD_CPUTIME_ID);
    while (spent_ns(CLOCK_THREAD_CPUTIME_ID) - begin < ns)
        ;
    return ns;
}

static void *burn_in_thread(void *unused)
{
    burn(40 * NSEC_PER_MSEC);
    return unused;
}

static int64_t burn_everywhere(void)
{
    pthread_t thread;
    int status;
    burn(30 * NSEC_PER_MSEC);
    pthread_create(&thread, NULL, burn_in_thread, NULL);
    pthread_join(thread, NULL); /* a dead thread */
    pid_t dead = fork();
    if (dead == 0) {
        burn(50 * NSEC_PER_MSEC);
        _exit(0);
    }
    waitpid(dead, &status, 0); /* a dead child */
    if (fork() == 0) {         /* and one that lives */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pause();
    }
    return spent_ns(CLOCK_PROCESS_CPUTIME_ID) + 50 * NSEC_PER_MSEC;
}

Test(proc, cpu_time_of_the_living_and_the_dead)
{
    struct child child = spawn(burn_everywhere);
    struct proc_usage usage = proc_usage(child.pid);
    /* Reaped children are known in ticks of 10 ms, user and system each cut down
   * to one. */
    cr_assert_geq(usage.cpu_ns, child.reported - 20 * NSEC_PER_MSEC, "%lld of %lld",
                  (long long)usage.cpu_ns, (long long)child.reported);
    cr_assert_leq(usage.cpu_ns, child.reported + 10 * NSEC_PER_MSEC, "%lld of %lld",
                  (long long)usage.cpu_ns, (long long)child.reported);
    assert_tasks(usage.tasks, 2);
    finish(child);
}

static int64_t sleep_often(void)
{
    struct rusage used;
    /* Long enough: a timer that is over before its thread has gone to sleep makes no switch. */
    for (int i = 0; i < SLEEPS; i++)
        nanosleep(&(struct timespec){.tv_nsec = 2 * NSEC_PER_MSEC}, NULL);
    getrusage(RUSAGE_SELF, &used);
    return used.ru_nvcsw;
}

Test(proc, context_switches)
{
    struct child child = spawn(sleep_often);
    struct proc_usage usage = proc_usage(child.pid);
    cr_assert_geq(child.reported, SLEEPS);
    cr_assert_geq(usage.voluntary, child.reported);
    cr_assert_leq(usage.voluntary, child.reported + 10);
    finish(child);
}

static int64_t touch_memory(void)
{
    char *area =
        mmap(NULL, TOUCHED_KB * 1024, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(area, TOUCHED_KB * 1024, MADV_NOHUGEPAGE);
    /* The kernel touches it: under a sanitizer memset would touch shadow memory as well. */
    madvise(area, TOUCHED_KB * 1024, MADV_POPULATE_WRITE);
    return 0;
}

static int64_t touch_nothing(void)
{
    return 0;
}

Test(proc, memory_that_was_touched)
{
    struct child plain = spawn(touch_nothing), large = spawn(touch_memory);
    struct proc_memory a = proc_memory(plain.pid), b = proc_memory(large.pid);
    int64_t pte_kb = TOUCHED_KB / 4 * 8 / 1024; /* 8 bytes for each page of 4 KiB */
    cr_assert_geq(b.user_kb - a.user_kb, TOUCHED_KB - 64);
    cr_assert_leq(b.user_kb - a.user_kb, TOUCHED_KB + 256);
    cr_assert_geq(b.page_tables_kb - a.page_tables_kb, pte_kb);
    cr_assert_leq(b.page_tables_kb - a.page_tables_kb, pte_kb + 24);
    finish(plain);
    finish(large);
}

static void *wait_for_ever(void *unused)
{
    pause();
    return unused;
}

static int64_t start_threads(void)
{
    pthread_t thread;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&thread, NULL, wait_for_ever, NULL);
    return 0;
}

static int64_t start_many_threads(void)
{
    for (int i = 0; i < 5; i++)
        start_threads();
    return 0;
}

static int64_t host_stacks_kb(void)
{
    char line[128];
    long long kb = -1;
    FILE *file = fopen("/proc/meminfo", "r");
    while (fgets(line, sizeof line, file) && sscanf(line, "KernelStack: %lld kB", &kb) != 1)
        ;
    fclose(file);
    return kb;
}

/* The size of a kernel stack is an assumption: the host's own count must agree
 * with it. */
Test(proc, kernel_stacks)
{
    int64_t before_kb = host_stacks_kb();
    struct child child = spawn(start_threads);
    int64_t grown_kb = host_stacks_kb() - before_kb;
    int64_t ours_kb = proc_memory(child.pid).kernel_stacks_kb;
    int tasks = proc_usage(child.pid).tasks;
    assert_tasks(tasks, THREADS + 1);
    cr_assert_eq(ours_kb, 16 * tasks);
    cr_assert_geq(grown_kb, ours_kb / 2, "%lld of %lld", (long long)grown_kb, (long long)ours_kb);
    cr_assert_leq(grown_kb, ours_kb * 2, "%lld of %lld", (long long)grown_kb, (long long)ours_kb);
    finish(child);
}

Test(proc, cpu_time_of_one_process_is_its_own)
{
    int64_t before_ns = proc_cpu_ns(getpid()), own_ns;
    struct timespec used;

    for (volatile int i = 0; i < 20 * 1000 * 1000; i++)
        ;
    own_ns = proc_cpu_ns(getpid());
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    cr_assert_gt(own_ns, before_ns);
    cr_assert_leq(own_ns, used.tv_sec * NSEC_PER_SEC + used.tv_nsec);
    cr_assert_eq(proc_cpu_ns(1 << 22), 0); /* beyond every pid */
}

/* Two that live, the second with a child of its own, and one that has ended. Returns the younger of
 * the living. */
static int64_t have_children(void)
{
    pid_t child[3];
    for (int i = 0; i < 3; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (i == 1 && fork() == 0) /* a grandchild does not count */
                prctl(PR_SET_PDEATHSIG, SIGKILL);
            pause();
            _exit(0);
        }
        usleep(30000); /* more than a tick */
    }
    kill(child[2], SIGKILL);
    waitid(P_PID, (id_t)child[2], &(siginfo_t){0}, WEXITED | WNOWAIT);
    return child[1];
}

Test(proc, the_youngest_child_and_the_oldest)
{
    struct child child = spawn(have_children);
    cr_assert_eq(proc_youngest_child(child.pid), child.reported);
    pid_t oldest = proc_oldest_child(child.pid);
    cr_assert_neq(oldest, 0);
    cr_assert_neq(oldest, child.reported);
    kill(oldest, SIGKILL);
    while (proc_oldest_child(child.pid) == oldest)
        usleep(1000);
    cr_assert_eq(proc_oldest_child(child.pid), child.reported, "the only one that is left");
    finish(child);
}

Test(proc, nobody_uses_nothing)
{
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    waitpid(gone, NULL, 0);
    cr_assert_eq(proc_youngest_child(gone), 0);
    cr_assert_eq(proc_youngest_child(getpid()), 0);
    cr_assert_eq(proc_oldest_child(getpid()), 0);
    struct proc_usage usage = proc_usage(gone);
    cr_assert_eq(usage.cpu_ns, 0);
    cr_assert_eq(usage.tasks, 0);
    cr_assert_eq(proc_memory(gone).user_kb, 0);
}

static const int64_t hog_ns = 300 * NSEC_PER_MSEC;

/* Two that want the same core. */
static int64_t compete(void)
{
    cpu_set_t one;
    pthread_t thread;
    sched_getaffinity(0, sizeof one, &one);
    for (int core = 0, found = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &one) && found++)
            CPU_CLR(core, &one);
    sched_setaffinity(0, sizeof one, &one);
    pthread_create(&thread, NULL, burn_in_thread, NULL);
    burn(40 * NSEC_PER_MSEC);
    pthread_join(thread, NULL);
    return thread_held_ns();
}

Test(proc, time_without_a_core)
{
    struct child idle = spawn(sleep_often), child = spawn(compete);
    struct proc_usage usage = proc_usage(child.pid);
    cr_assert_geq(child.reported, 20 * NSEC_PER_MSEC);
    cr_assert_geq(usage.held_ns, child.reported);
    cr_assert_lt(proc_usage(idle.pid).held_ns, usage.held_ns);
    finish(idle);
    finish(child);
}

Test(proc, nobody_adds_up_the_waits_of_hundreds_of_threads)
{
    struct child child = spawn(start_many_threads);
    cr_assert_eq(proc_usage(child.pid).held_ns, -1);
    finish(child);
}

/* Its parent ends at once, so it is none of ours. It works when there is a byte in the pipe, and ends
 * with it. */
static void run_stranger(int gate[2])
{
    if (fork() == 0) {
        char byte;
        if (fork() != 0)
            _exit(0);
        close(gate[1]);
        if (read(gate[0], &byte, 1) == 1)
            burn(hog_ns);
        _exit((int)read(gate[0], &byte, 1));
    }
    wait(NULL);
}

Test(proc, cpu_time_of_others)
{
    int gate[2];
    cr_assert_eq(pipe(gate), 0);
    run_stranger(gate);
    close(gate[0]);
    struct proc_usage before = proc_usage(getpid());
    burn(hog_ns); /* ours does not count */
    struct proc_usage between = proc_usage(getpid());
    cr_assert_eq(write(gate[1], "", 1), 1);
    usleep((useconds_t)(3 * hog_ns / NSEC_PER_USEC));
    struct proc_usage after = proc_usage(getpid());
    int64_t idle_ns = between.others_ns - before.others_ns;
    int64_t busy_ns = after.others_ns - between.others_ns;
    cr_assert_geq(busy_ns, hog_ns / 2, "%lld", (long long)busy_ns);
    cr_assert_lt(idle_ns, busy_ns, "%lld, then %lld", (long long)idle_ns, (long long)busy_ns);
    close(gate[1]);
}

/* Bytes that reach the disk, and are not left to the kernel. */
static int64_t write_to_disk(void)
{
    enum { BYTES = 1 << 20 };
    static char bytes[BYTES];
    FILE *file = tmpfile();
    if (fwrite(bytes, 1, sizeof bytes, file) != sizeof bytes || fflush(file) || fsync(fileno(file)))
        return -1;
    return BYTES;
}

Test(proc, bytes_of_the_disk)
{
    struct host_counts a = host_counts();
    struct child child = spawn(write_to_disk);
    struct host_counts b = host_counts();
    if (b.disk_bytes == a.disk_bytes) {
        finish(child);
        cr_skip("no disk behind this folder");
    }
    cr_assert_geq(proc_disk_bytes(child.pid), child.reported);
    cr_assert_geq(b.disk_bytes - a.disk_bytes, child.reported);
    cr_assert_geq(b.disk_busy_ms, a.disk_busy_ms);
    finish(child);
}

Test(proc, host_counts_only_grow)
{
    struct host_counts a = host_counts();
    burn(50 * NSEC_PER_MSEC);
    struct host_counts b = host_counts();
    cr_assert_gt(b.all_ticks, a.all_ticks);
    cr_assert_geq(b.steal_ticks, a.steal_ticks);
    cr_assert_leq(b.steal_ticks - a.steal_ticks, b.all_ticks - a.all_ticks);
    cr_assert_geq(b.listen_drops, a.listen_drops);
}
