/* coroutines: a coroutine for every connection, written as if it blocked; each await hands the only
 * thread to the loop (async/await).
 *
 * Who blocks:  nothing waits for a peer or a timer: an await switches to the loop's stack, and back
 *              when the wait is over. A computation or a disk read stops all, as in `event`.
 * Strength:    control flow in one piece, as in `threads`, for nearly the price of `event`: a
 *              switch is a dozen instructions in user space. No locks: only an await gives way.
 * Weakness:    one core; a stack for each connection, sized in advance. It costs the pages that it
 *              has touched (here the uppermost, which it shares with the connection's struct) and
 *              two memory mappings, of which Linux grants a process 65,530.
 * Try it:      build/servers/coroutines --port 8080 &
 *              curl '127.0.0.1:8080/work?io=timer:2s' &
 *              time curl 127.0.0.1:8080/        # does not wait for the other
 *
 * Name:    coroutines
 * Ids:     A14
 * Family:  asynchronous
 * Look:    #9A86D8 *
 * Read:    perform, waiting=await, connections=welcome, requests=serve
 * Blocks:  compute disk
 * Tasks:   0
 * Push:    the loop resumes the coroutine
 * Book:    owned by the only thread: no await is within an operation
 * Compute: 1
 * Link:    -lev
 */
#include "common/serve/loop.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* AddressSanitizer keeps an account of each stack, and follows a switch only if it is told. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#define BEFORE_SWITCH(from, to)                                                                    \
    __sanitizer_start_switch_fiber((from)->over ? NULL : &(from)->account, (to)->stack, (to)->bytes)
#define AFTER_SWITCH(from, to)                                                                     \
    __sanitizer_finish_switch_fiber((to)->account, &(from)->stack, &(from)->bytes)
#else
#define BEFORE_SWITCH(from, to) ((void)0)
#define AFTER_SWITCH(from, to)  ((void)0)
#endif

/* Marks what may be left by a switch, as `async` does in other languages. ThreadSanitizer pairs a
 * thread's calls with its returns, which do not pair here; one thread has no races to find anyway.
 * (Its fibers do not help: a signal that arrives in one is lost when the fiber ends.) */
#define ASYNC __attribute__((no_sanitize("thread")))

/* The deepest use is that of work on a picture, some 10k (see work.h); a signal's frame may come on
 * top, 4k with the widest vector registers of today. */
enum { STACK_MIN = 24 * 1024, STACK_DEFAULT = 32 * 1024 };

/* A flow of control with its stack: that of main(), which runs the loop, or a coroutine's. */
struct context {
    void *saved; /* its stack pointer while it does not run: its registers are there */
    const void *stack;
    size_t bytes;  /* of the stack */
    void *account; /* AddressSanitizer's */
    bool over;     /* it will not be switched to again */
};

/* One mapping: a guard page, so that an overflow crashes and corrupts nothing; the stack; this. */
struct coroutine {
    struct loop_peer peer; /* first: a peer of the loop is a coroutine */
    struct scheduler *scheduler;
    struct context context;
    enum loop_event event;       /* why it was resumed last */
    SLIST_ENTRY(coroutine) link; /* among the spare ones, when it has ended */
};

struct scheduler {
    struct server server;
    struct loop loop;
    struct context context;                        /* main's */
    size_t stack_bytes;                            /* of each coroutine */
    SLIST_HEAD(spare_coroutines, coroutine) spare; /* for the next peers: mapping is slow */
};

/* --- the context switch ---------------------------------------------------------------------- */

static void begin(struct coroutine *);

/* Push the registers that a called function must preserve, store the stack pointer in *saved, load
 * the other one, pop. The compiler expects any call to overwrite all the other registers. `self`
 * becomes the argument of begin() when a coroutine is switched to for the first time. */
void switch_stack(void **saved, void *load, struct coroutine *self);

#if defined __x86_64__ && !defined PORTABLE_SWITCH
enum { FRAME_WORDS = 8, FRAME_RETURN = 6 }; /* six registers, where to return to, padding */
__asm__(".text\n"
        "switch_stack:\n"
        "    push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rsi, %rsp\n"
        "    mov %rdx, %rdi\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
        "    ret\n");
#elif defined __aarch64__ && !defined PORTABLE_SWITCH
enum { FRAME_WORDS = 20, FRAME_RETURN = 11 }; /* x19 to x30, d8 to d15; x30: where to return to */
__asm__(".text\n"
        "switch_stack:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp]; stp x21, x22, [sp, #16]; stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]; stp x27, x28, [sp, #64]; stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]; stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]; mov x9, sp; str x9, [x0]\n"
        "    mov sp, x1\n"
        "    mov x0, x2; ldp d14, d15, [sp, #144]\n"
        "    ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]; ldp d12, d13, [sp, #128]\n"
        "    ldp x25, x26, [sp, #48]; ldp x27, x28, [sp, #64]; ldp x29, x30, [sp, #80]\n"
        "    ldp x19, x20, [sp]; ldp x21, x22, [sp, #16]; ldp x23, x24, [sp, #32]\n"
        "    add sp, sp, #160\n"
        "    ret\n");
#else
#define USE_UCONTEXT
/* POSIX once had the same. It saves the signal mask, too: a system call for each switch. */
void switch_stack(void **saved, void *load, struct coroutine *self)
{
    ucontext_t here;
    (void)self;     /* makecontext() has it */
    *saved = &here; /* cppcheck-suppress autoVariables; this stack stays, it only waits */
    swapcontext(&here, load);
}
#endif

/* What switch_stack() will find on a new stack: as if begin() had been about to be returned to. */
static void *first_frame(struct coroutine *coroutine)
{
#ifdef USE_UCONTEXT
    ucontext_t *frame = (ucontext_t *)coroutine - 1;
    getcontext(frame);
    frame->uc_stack = (stack_t){.ss_sp = (void *)coroutine->context.stack,
                                .ss_size = coroutine->context.bytes - sizeof *frame};
    makecontext(frame, (void (*)(void))begin, 1, coroutine); /* POSIX: an int; glibc: a word */
#else
    void **frame = (void **)coroutine - FRAME_WORDS;
    frame[FRAME_RETURN] = (void *)begin;
#endif
    return frame;
}

ASYNC static void switch_context(struct context *from, struct context *to, struct coroutine *self)
{
    BEFORE_SWITCH(from, to);
    switch_stack(&from->saved, to->saved, self); /* returns when `to` has switched back */
    AFTER_SWITCH(to, from);
}

/* Let the loop go on, until it resumes this coroutine. */
ASYNC static void yield(struct coroutine *self)
{
    switch_context(&self->context, &self->scheduler->context, NULL);
}

/* --- await ----------------------------------------------------------------------------------- */

/* Until what conn wants has come true: its descriptor is ready, or what its job waits for is there. What is
 * pushed to the peer goes out meanwhile. False: the peer has used up its time, or does not read. */
ASYNC static bool await(struct coroutine *self)
{
    if (!loop_await(&self->peer))
        return false;
    do
        yield(self);
    while (self->event == LOOP_NEWS && loop_push(&self->peer));
    return self->event == LOOP_READY || self->event == LOOP_DUE;
}

/* --- a connection: session_run() of common/serve/session.c, with awaits ---------------------------- */

ASYNC static void perform(struct coroutine *self, struct job *job)
{
    enum wait wait = job_start(job, WAIT_TIMER | WAIT_UPSTREAM);
    while (wait) {
        await(self);
        wait = job_resume(job, 0);
    }
}

/* It awaits before each receive, not only after one that failed: so a peer that sends without a
 * pause gives way to the others, too. */
ASYNC static void serve(struct coroutine *self)
{
    struct conn *conn = &self->peer.conn;
    int fd = self->peer.io.fd;

    for (;;) {
        switch (conn->want) {
        case WANT_READ:
            if (!await(self))
                return;
            conn_receive(conn, fd);
            break;
        case WANT_JOB:
            perform(self, conn->job);
            conn_job_done(conn);
            break;
        case WANT_WRITE:
            if (!conn_send(conn, fd) && !await(self))
                return;
            break;
        case WANT_CLOSE: return;
        }
    }
}

/* Where a coroutine begins and ends. It has nowhere to return to: the last switch is for good. */
ASYNC static void begin(struct coroutine *self)
{
    AFTER_SWITCH(&self->scheduler->context, &self->context);
    serve(self);
    self->context.over = true;
    yield(self);
}

/* --- the loop's side ------------------------------------------------------------------------- */

static size_t whole_pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

/* NULL: no memory, or no mapping left. */
static struct coroutine *map_coroutine(size_t stack_bytes)
{
    size_t own = (sizeof(struct coroutine) + 63) / 64 * 64, guard = whole_pages(1);
    size_t bytes = guard + whole_pages(stack_bytes + own);
    char *low = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (low == MAP_FAILED)
        return NULL;
    if (mprotect(low + guard, bytes - guard, PROT_READ | PROT_WRITE)) {
        munmap(low, bytes);
        return NULL;
    }
    struct coroutine *coroutine = (struct coroutine *)(low + bytes - own);
    coroutine->context.stack = low + guard;
    coroutine->context.bytes = bytes - guard - own;
    return coroutine;
}

/* Run the coroutine up to its next await. */
static void resume(struct coroutine *coroutine, enum loop_event event)
{
    struct scheduler *scheduler = coroutine->scheduler;
    coroutine->event = event;
    switch_context(&scheduler->context, &coroutine->context, coroutine);
    if (!coroutine->context.over)
        return;
    loop_remove(&coroutine->peer);
    SLIST_INSERT_HEAD(&scheduler->spare, coroutine, link);
}

static void start_coroutine(struct scheduler *scheduler, struct coroutine *coroutine, int fd)
{
    coroutine->scheduler = scheduler;
    coroutine->context.over = false;
    coroutine->context.account = NULL;
    coroutine->context.saved = first_frame(coroutine);
    loop_add(&scheduler->loop, &coroutine->peer, fd);
    resume(coroutine, LOOP_ACCEPT);
}

static void welcome(struct scheduler *scheduler)
{
    int fd;
    while ((fd = server_accept_ready(&scheduler->server)) >= 0) {
        struct coroutine *coroutine = SLIST_FIRST(&scheduler->spare);
        if (coroutine) {
            SLIST_REMOVE_HEAD(&scheduler->spare, link);
        } else if (!(coroutine = map_coroutine(scheduler->stack_bytes))) {
            count_add(scheduler->server.counters, COUNTER_refused, 1);
            close(fd);
            continue;
        }
        start_coroutine(scheduler, coroutine, fd);
    }
}

static void run(struct scheduler *scheduler)
{
    struct loop_peer *peer;
    for (;;) {
        enum loop_event event = loop_wait(&scheduler->loop, &peer);
        switch (event) {
        case LOOP_ACCEPT: welcome(scheduler); break;
        case LOOP_READY:
        case LOOP_DUE:
        case LOOP_NEWS:
        case LOOP_EXPIRED: resume(container_of(peer, struct coroutine, peer), event); break;
        case LOOP_STOPPED: return;
        case LOOP_WAKE:
        case LOOP_TICK:
        case LOOP_NOTHING: break;
        }
    }
}

int main(int argc, char **argv)
{
    struct scheduler scheduler = {.stack_bytes = STACK_DEFAULT};
    const struct option_row knobs[] = {
        {"coroutine-stack", 0, OPTION_SIZE, &scheduler.stack_bytes, "SIZE",
         "stack of each coroutine", 0, 0},
        {0},
    };

    server_setup(&scheduler.server, argc, argv, knobs);
    if (scheduler.stack_bytes < STACK_MIN)
        die("--coroutine-stack: a coroutine needs 24k at least");
    server_books(&scheduler.server, MARKET_ALONE);
    server_push(&scheduler.server);
    loop_init(&scheduler.loop, &scheduler.server, 0);
    struct coroutine *first = map_coroutine(scheduler.stack_bytes);
    if (first)
        SLIST_INSERT_HEAD(&scheduler.spare, first, link); /* the first peer's */
    else
        die("--coroutine-stack: the system has no room for such a stack");
    server_ready(&scheduler.server);
    run(&scheduler);
    loop_free(&scheduler.loop);
    return server_finish(&scheduler.server);
}
