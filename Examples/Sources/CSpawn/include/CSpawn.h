#ifndef CSPAWN_H
#define CSPAWN_H

#include <stdint.h>
#include <sys/types.h>

/// Nanoseconds on a clock that goes on while the machine sleeps.
int64_t cspawn_now(void);

/// Starts `argv[0]`, looked up in PATH, as a child of the calling thread, as if this process had not been in between:
/// same process group, same descriptors, empty signal mask, default dispositions except for SIGHUP, SIGINT and SIGQUIT
/// where this process was itself started with them ignored (nohup, a shell's `&`).
///
/// `variables`, each `NAME=value`, are added to this process's environment in place of what had those names.
///
/// Once `cspawn_now()` is past `latest` it does not start it any more: the clock is read right before exec, so that a
/// machine that stood still in between does no harm.
///
/// On Linux the child gets SIGTERM when the *calling thread* ends: call it from a thread that outlives the child.
///
/// Returns 0 and sets `*pid`, or the errno of what failed (exec included; ETIMEDOUT for too late), and then there is no
/// child to wait for.
int cspawn_start(
    char *const _Nullable argv[_Nonnull],
    char *const _Nullable variables[_Nonnull],
    int64_t latest,
    pid_t *_Nonnull pid
);

#endif
