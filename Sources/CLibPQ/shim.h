// libpq's header stands in a folder of its own on Debian and its kin, and among all others elsewhere.

#ifndef REDIS_LOCKS_CLIBPQ_SHIM_H
#define REDIS_LOCKS_CLIBPQ_SHIM_H

#if __has_include(<postgresql/libpq-fe.h>)
#include <postgresql/libpq-fe.h>
#else
#include <libpq-fe.h>
#endif

// Pipeline mode came with 14.
#ifndef LIBPQ_HAS_PIPELINING
#error "libpq 14 or newer is needed"
#endif

#endif
