/* limits: which limit a connection that could not be made has met, and what helps against it. */
#ifndef ARCHBENCH_LIMITS_H
#define ARCHBENCH_LIMITS_H

enum { LIMITS_TEXT = 256 };

/* What the system says of this errno of socket(2) or connect(2) and, where it is a limit that one
 * can do something about, what that is; into `text`, which it returns. */
const char *limits_of_connecting(char text[LIMITS_TEXT], int error);

#endif
