#ifndef CSPAWN_H
#define CSPAWN_H

#include <sys/types.h>

/// Starts `argv[0]`, looked up in PATH, as a child of the calling thread, as if this process had not been in between:
/// same process group, same descriptors, empty signal mask, default dispositions except for SIGHUP, SIGINT and SIGQUIT
/// where this process was itself started with them ignored (nohup, a shell's `&`).
///
/// `variables`, each `NAME=value`, are added to this process's environment in place of what had those names.
///
/// On Linux the child gets SIGTERM when the *calling thread* ends: call it from a thread that outlives the child.
///
/// Returns 0 and sets `*pid`, or the errno of what failed (exec included), and then there is no child to wait for.
int cspawn_start(
    char *const _Nullable argv[_Nonnull],
    char *const _Nullable variables[_Nonnull],
    pid_t *_Nonnull pid
);

#endif
