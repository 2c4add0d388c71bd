/* bounds: how wrong a number may be before it is refused, for whatever judges: the generator its own
 * run (refusals.h), cell the whole trial (cell/judge.c). */
#ifndef ARCHBENCH_BOUNDS_H
#define ARCHBENCH_BOUNDS_H

/* A number may be wrong by this share of it. */
#define BOUNDS_SHARE 0.1

/* With such a share of the requests answered, an open loop has got what it asked for. */
#define BOUNDS_ANSWERED 0.999

#endif
