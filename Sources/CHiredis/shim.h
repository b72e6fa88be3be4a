#ifndef REDIS_LOCKS_CHIREDIS_SHIM_H
#define REDIS_LOCKS_CHIREDIS_SHIM_H

#include <hiredis/hiredis.h>
#include <hiredis/async.h>

#endif
