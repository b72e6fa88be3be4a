#define _GNU_SOURCE 1
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

extern char **environ;

int64_t cspawn_now(void) {
#ifdef __linux__
    const clockid_t clock = CLOCK_BOOTTIME;
#else
    const clockid_t clock = CLOCK_MONOTONIC;
#endif
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int keeps_ignored(int signal) {
    return signal == SIGHUP || signal == SIGINT || signal == SIGQUIT;
}

/// All signals are blocked when this begins, so none can meet a disposition that is not the command's.
static void restore_signals(void) {
    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction action;
        if (sigaction(signal, NULL, &action) != 0) continue;
        if (action.sa_handler == SIG_DFL) continue;
        if (action.sa_handler == SIG_IGN && keeps_ignored(signal)) continue;
        action.sa_handler = SIG_DFL;
        action.sa_flags = 0;
        sigemptyset(&action.sa_mask);
        (void)sigaction(signal, &action, NULL);
    }
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/// Between fork and exec: async-signal-safe calls only.
static void become_command(char *const argv[], char *const envp[], int64_t latest, pid_t parent, int report) {
#ifdef __linux__
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    // The parent may have died before the line above.
    if (getppid() != parent) _exit(128 + SIGTERM);
#else
    (void)parent;
#endif
    restore_signals();
    environ = (char **)envp;  // execvp searches the PATH that the command will see
    int error = ETIMEDOUT;
    if (cspawn_now() < latest) {
        execvp(argv[0], argv);
        error = errno;
    }
    while (write(report, &error, sizeof error) < 0 && errno == EINTR) {}
    _exit(127);
}

static int close_on_exec_pipe(int ends[2]) {
#ifdef __linux__
    return pipe2(ends, O_CLOEXEC) == 0 ? 0 : errno;
#else
    if (pipe(ends) != 0) return errno;
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    return 0;
#endif
}

static int is_replaced(const char *entry, char *const variables[]) {
    for (; *variables != NULL; variables++) {
        const char *equals = strchr(*variables, '=');
        if (equals != NULL && strncmp(entry, *variables, (size_t)(equals - *variables) + 1) == 0) return 1;
    }
    return 0;
}

/// An array that the caller frees; its strings stay with `environ` and `variables`.
static char **merged_environment(char *const variables[]) {
    size_t count = 1;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) count++;
    for (char *const *entry = variables; *entry != NULL; entry++) count++;
    char **merged = calloc(count, sizeof *merged);
    if (merged == NULL) return NULL;
    char **next = merged;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        if (!is_replaced(*entry, variables)) *next++ = *entry;
    }
    for (char *const *entry = variables; *entry != NULL; entry++) *next++ = *entry;
    return merged;
}

/// Forks and waits until exec has succeeded or failed.
static int start(char *const argv[], char *const envp[], int64_t latest, pid_t *pid) {
    int ends[2];
    int error = close_on_exec_pipe(ends);
    if (error != 0) return error;

    sigset_t all, before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) become_command(argv, envp, latest, parent, ends[1]);
    error = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)close(ends[1]);
    if (child < 0) {
        (void)close(ends[0]);
        return error;
    }

    // Ends of file when exec has succeeded, because the write end closes on exec.
    int failure = 0;
    ssize_t count;
    do { count = read(ends[0], &failure, sizeof failure); } while (count < 0 && errno == EINTR);
    (void)close(ends[0]);
    if (count != sizeof failure) {
        *pid = child;
        return 0;
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    return failure;
}

int cspawn_start(char *const argv[], char *const variables[], int64_t latest, pid_t *pid) {
    char **envp = merged_environment(variables);
    if (envp == NULL) return ENOMEM;
    int error = start(argv, envp, latest, pid);
    free(envp);
    return error;
}
