// Teaches ThreadSanitizer what Synchronization.Mutex orders on Linux. Preloaded by scripts/test --full.
//
// The mutex' fast path is inlined into our instrumented code, so the sanitizer sees it. Under contention the standard
// library, which is not instrumented, takes over and hands the lock on inside the kernel, so the sanitizer would call
// every access a data race whose two sides met there. A suppression list would have to name whatever a mutex guards,
// and so hide real races; the wrappers below add exactly the missing order instead.
//
// The names are those of MutexHandle._lockSlow(_: UInt32), ._tryLockSlow() and ._unlockSlow() in the Swift 6 library.
// `self` is the address of the lock word, on which the inlined fast path synchronizes as well. In a process without
// the sanitizer the weak symbols are null and nothing changes.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define SWIFT __attribute__((swiftcall, visibility("default")))
#define SELF __attribute__((swift_context)) void *self

extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

static void *next(const char *name) {
    void *symbol = dlsym(RTLD_NEXT, name);
    if (symbol == NULL) abort();
    return symbol;
}

SWIFT void lock_slow(uint32_t self_id, SELF) __asm__("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");
SWIFT bool try_lock_slow(SELF) __asm__("$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF");
SWIFT void unlock_slow(SELF) __asm__("$s15Synchronization12_MutexHandleV11_unlockSlowyyF");

typedef __attribute__((swiftcall)) void (*LockSlow)(uint32_t, SELF);
typedef __attribute__((swiftcall)) bool (*TryLockSlow)(SELF);
typedef __attribute__((swiftcall)) void (*UnlockSlow)(SELF);

SWIFT void lock_slow(uint32_t self_id, SELF) {
    ((LockSlow)next("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"))(self_id, self);
    if (__tsan_acquire) __tsan_acquire(self);
}

SWIFT bool try_lock_slow(SELF) {
    bool is_locked = ((TryLockSlow)next("$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"))(self);
    if (is_locked && __tsan_acquire) __tsan_acquire(self);
    return is_locked;
}

SWIFT void unlock_slow(SELF) {
    if (__tsan_release) __tsan_release(self);
    ((UnlockSlow)next("$s15Synchronization12_MutexHandleV11_unlockSlowyyF"))(self);
}
