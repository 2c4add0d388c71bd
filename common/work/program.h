/* program: what a /work request asks for, as steps in the order written. Text in, steps out. */
#ifndef ARCHBENCH_PROGRAM_H
#define ARCHBENCH_PROGRAM_H

#include "common/news/topics.h"
#include "common/upstream/upstream_command.h"
#include "common/work/book/book.h"
#include "common/work/calibration.h"
#include "common/work/work.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PROGRAM_STEPS_MAX = 16,
    PROGRAM_CLASS_MAX = 31, /* characters of a class name */
    PROGRAM_BODY_MAX = 16 << 20,
    PROGRAM_STEP_MAX_S = 60,
    PROGRAM_COUNT_MAX = 1000000, /* of each count= */
    PROGRAM_TOPICS_BYTES = 128, /* of all names of topics, keys, statements ..., each with a zero */
};

enum step_kind {
    STEP_TIMER,    /* io=timer:D  wait, as for a remote call */
    STEP_DISK,     /* io=disk:B   read B bytes at a random place of a file, past the page cache */
    STEP_UPSTREAM, /* io=upstream:D  a call that keeps a connection to the upstream busy for D */
    STEP_REDIS,    /* io=redis:VERB:NAME  another call: see upstream_command.h */
    STEP_SQL,      /* io=sql:NAME[:ARGUMENT]  a statement of a file: see statements.h */
    STEP_WORK,     /* cpu=KIND:D  fixed work worth D on an idle core: see work.h */
    STEP_COUNT,    /* count=N     add 1 to a counter N times: see counting.h */
    STEP_BOOK,     /* book=OPERATION:SEED  on an order book: see book.h */
    STEP_PUBLISH,  /* publish=TOPIC  tell those that subscribed: see topics.h */
    /* Of the paths /subscribe and /unsubscribe: */
    STEP_SUBSCRIBE,
    STEP_UNSUBSCRIBE,
};

struct step {
    enum step_kind kind;
    enum work_kind work; /* of STEP_WORK */
    int64_t amount_ns;   /* of a timer, a call or work */
    union {
        struct {
            uint32_t bytes; /* of a read */
            uint32_t count; /* of STEP_COUNT */
        };
        uint64_t seed; /* of STEP_BOOK; 0: the time when it is performed */
    };
    uint8_t topic;           /* of one with a name: where it begins in program.topics */
    uint8_t operation;       /* of STEP_BOOK: an enum book_operation */
    enum upstream_verb verb; /* of STEP_REDIS */
};

struct program {
    uint8_t steps;
    bool sized; /* body= was given */
    uint32_t body_bytes;
    char class_name[PROGRAM_CLASS_MAX + 1];
    uint8_t topics_len;
    char topics[PROGRAM_TOPICS_BYTES]; /* names, each with a zero behind it */
    struct step step[PROGRAM_STEPS_MAX];
};

/* Set to a program without steps. */
void program_init(struct program *);

/* Read "/work?io=timer:10ms&cpu=hash:5ms&body=256&class=NAME". Values may be percent-encoded.
 * Returns false, with a constant sentence in *reason, when the grammar does not allow it. */
bool program_parse(struct program *, const char *target, size_t len, const char **reason);

/* The same of "/subscribe?topic=NAME" and "/unsubscribe?topic=NAME", which are programs of one step. */
bool program_parse_subscription(struct program *, const char *target, size_t len,
                                const char **reason);
/* Does it need the topics of this server? */
bool program_has_topic(const struct program *);
/* The name of a step that has one. */
const char *program_topic(const struct program *, const struct step *);
/* The argument of a STEP_SQL, whose name is that of its statement; empty: it has none. */
const char *program_argument(const struct program *, const struct step *);

enum { PROGRAM_TEXT_MAX = 1024 };

/* The other way: a target that asks for this program, terminated, into `text` (PROGRAM_TEXT_MAX
 * bytes). Durations are written in the largest unit that leaves no fraction. */
void program_format(const struct program *, char *text);

bool program_has_cpu(const struct program *);
/* CPU seconds that the steps are worth on an idle core. */
double program_cpu_seconds(const struct program *);

/* The digest after one CPU step: `digest` is that of the steps before, 0 at first. Takes the
 * step's time: this is the work. */
uint64_t program_compute(const struct step *, const struct calibration *, uint64_t digest);
/* The digest that a correct reply carries. Does all CPU steps. */
uint64_t program_digest(const struct program *, const struct calibration *);

#endif
