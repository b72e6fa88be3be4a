// What Swift cannot say to hiredis: reply constructors that distrust the server.
//
// hiredis' async side (0.14 to 1.x) trusts its server: a reply that nobody asked for, or a pub/sub message of an odd
// shape, meets an assert() and aborts the process, and `*500000000` reserves gigabytes before anyone can object. The
// reader builds replies through a table of functions, though, and a function that returns NULL makes the reader fail
// and async.c disconnect in good order. So the table here is where limits and shapes are enforced, while parsing.
//
// Memory: every redisReply is built with the allocator that freeReplyObject() releases with. A child is hung into its
// parent before the constructor returns, so whatever the reader drops, it drops as one tree.
// Thread: whichever calls redisAsyncHandleRead(), which is the reactor's.

#ifndef REDIS_LOCKS_CHIREDIS_SHIM_H
#define REDIS_LOCKS_CHIREDIS_SHIM_H

#include <hiredis/hiredis.h>
#include <hiredis/async.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#if HIREDIS_MAJOR >= 1
#define REDIS_LOCKS_CALLOC(count, size) hi_calloc((count), (size))
#define REDIS_LOCKS_MALLOC(size) hi_malloc((size))
typedef size_t redis_locks_count;
#else
// 0.14 has hi_malloc() too, but releases replies with free(), and its hi_malloc() aborts when memory is short.
#define REDIS_LOCKS_CALLOC(count, size) calloc((count), (size))
#define REDIS_LOCKS_MALLOC(size) malloc((size))
typedef int redis_locks_count;
#endif

// Why a constructor refused, 0 for "did not".
enum redis_locks_trip {
    REDIS_LOCKS_TRIP_NONE = 0,
    REDIS_LOCKS_TRIP_DEPTH,
    REDIS_LOCKS_TRIP_ELEMENTS,
    REDIS_LOCKS_TRIP_TOTAL,
    REDIS_LOCKS_TRIP_BULK,
    REDIS_LOCKS_TRIP_UNSOLICITED,
    REDIS_LOCKS_TRIP_SHAPE,
    REDIS_LOCKS_TRIP_TYPE,
    REDIS_LOCKS_TRIP_MEMORY
};

// One per connection. Owned by Swift's Link, which frees it after the context; reader->privdata points here.
typedef struct redis_locks_guard {
    const redisAsyncContext *context;
    size_t max_depth;
    size_t max_elements;
    size_t max_total;
    size_t max_bulk;
    size_t max_line;
    // Of the reply being parsed.
    size_t total;
    int is_push;
    int is_message;
    int trip;
} redis_locks_guard;

static inline redis_locks_guard *redis_locks_guard_of(const redisReadTask *task) {
    return (redis_locks_guard *)task->privdata;
}

static inline void *redis_locks_refuse(redis_locks_guard *guard, int trip) {
    guard->trip = trip;
    return NULL;
}

// Top-level objects: is anybody waiting for one? The test is the one that async.c makes before it asserts. Between an
// array's header and its last element the list of waiting callbacks can only grow, so what is true here stays true.
static inline int redis_locks_admit_root(redis_locks_guard *guard, int type, size_t elements) {
    guard->total = 0;
    guard->is_push = 0;
    guard->is_message = 0;
    if (guard->context->replies.head != NULL) return 1;
    // async.c takes an error that nobody asked for as the server's last words, and disconnects with that text.
    if (type == REDIS_REPLY_ERROR) return 1;
    if (!(guard->context->c.flags & REDIS_SUBSCRIBED)) {
        guard->trip = REDIS_LOCKS_TRIP_UNSOLICITED;
        return 0;
    }
    // Every message we subscribe for (message, subscribe, unsubscribe) has three elements.
    if (type != REDIS_REPLY_ARRAY || elements != 3) {
        guard->trip = REDIS_LOCKS_TRIP_SHAPE;
        return 0;
    }
    guard->is_push = 1;
    return 1;
}

// The elements of a pub/sub message: kind, channel, and a count or a payload. A payload is a string, or, for client
// tracking's invalidations, an array of keys or nil.
static inline int redis_locks_admit_push_element(redis_locks_guard *guard, const redisReadTask *task, int type,
                                                 const char *bytes, size_t len) {
    int ok = 0;
    switch (task->idx) {
    case 0:
        if (type == REDIS_REPLY_STRING && bytes != NULL) {
            guard->is_message = len == 7 && memcmp(bytes, "message", 7) == 0;
            ok = guard->is_message || (len == 9 && memcmp(bytes, "subscribe", 9) == 0) ||
                 (len == 11 && memcmp(bytes, "unsubscribe", 11) == 0);
        }
        break;
    case 1:
        ok = type == REDIS_REPLY_STRING && len > 0;
        break;
    case 2:
        ok = guard->is_message
                 ? (type == REDIS_REPLY_STRING || type == REDIS_REPLY_NIL || type == REDIS_REPLY_ARRAY)
                 : type == REDIS_REPLY_INTEGER;
        break;
    }
    if (!ok) guard->trip = REDIS_LOCKS_TRIP_SHAPE;
    return ok;
}

// Makes a reply of `type` and hangs it into its parent. NULL when it must not exist.
static inline redisReply *redis_locks_make(const redisReadTask *task, int type, const char *bytes, size_t len,
                                           size_t elements) {
    redis_locks_guard *guard = redis_locks_guard_of(task);
    redisReply *reply;
    if (task->parent == NULL) {
        if (!redis_locks_admit_root(guard, type, elements)) return NULL;
    } else if (guard->is_push && task->parent->parent == NULL) {
        if (!redis_locks_admit_push_element(guard, task, type, bytes, len)) return NULL;
    }
    reply = (redisReply *)REDIS_LOCKS_CALLOC(1, sizeof(*reply));
    if (reply == NULL) return (redisReply *)redis_locks_refuse(guard, REDIS_LOCKS_TRIP_MEMORY);
    reply->type = type;
    return reply;
}

static inline void *redis_locks_adopt(const redisReadTask *task, redisReply *reply) {
    if (task->parent != NULL) ((redisReply *)task->parent->obj)->element[task->idx] = reply;
    return reply;
}

static inline void *redis_locks_create_string(const redisReadTask *task, char *bytes, size_t len) {
    redis_locks_guard *guard = redis_locks_guard_of(task);
    redisReply *reply;
    const char *text = bytes;
    size_t extra = 0;
    if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_STATUS && task->type != REDIS_REPLY_ERROR)
        return redis_locks_refuse(guard, REDIS_LOCKS_TRIP_TYPE);
    if (len > (task->type == REDIS_REPLY_STRING ? guard->max_bulk : guard->max_line))
        return redis_locks_refuse(guard, REDIS_LOCKS_TRIP_BULK);
    reply = redis_locks_make(task, task->type, bytes, len, 0);
    if (reply == NULL) return NULL;
    // async.c counts (un)subscriptions by comparing this very string, and asserts that they balance (1.x) or leaves
    // the subscribed mode when they do (0.14). A server must not be able to steer that: behind a prefix, confirmations
    // are messages like any other to async.c. Link takes the prefix off again.
    if (guard->is_push && task->parent != NULL && task->parent->parent == NULL && task->idx == 0 && !guard->is_message)
        extra = 1;
    reply->str = (char *)REDIS_LOCKS_MALLOC(len + extra + 1);
    if (reply->str == NULL) {
        freeReplyObject(reply);
        return redis_locks_refuse(guard, REDIS_LOCKS_TRIP_MEMORY);
    }
    if (extra) reply->str[0] = '+';
    if (len > 0) memcpy(reply->str + extra, text, len);
    reply->str[len + extra] = '\0';
    reply->len = len + extra;
    return redis_locks_adopt(task, reply);
}

static inline void *redis_locks_create_array(const redisReadTask *task, redis_locks_count count) {
    redis_locks_guard *guard = redis_locks_guard_of(task);
    redisReply *reply;
    const redisReadTask *ancestor;
    size_t depth = 1;
    size_t elements = (size_t)count;
    if (task->type != REDIS_REPLY_ARRAY) return redis_locks_refuse(guard, REDIS_LOCKS_TRIP_TYPE);
    for (ancestor = task->parent; ancestor != NULL && depth <= guard->max_depth; ancestor = ancestor->parent) depth++;
    if (depth > guard->max_depth) return redis_locks_refuse(guard, REDIS_LOCKS_TRIP_DEPTH);
    if (count < 0 || elements > guard->max_elements) return redis_locks_refuse(guard, REDIS_LOCKS_TRIP_ELEMENTS);
    reply = redis_locks_make(task, REDIS_REPLY_ARRAY, NULL, 0, elements);
    if (reply == NULL) return NULL;
    guard->total += elements;
    if (guard->total > guard->max_total) {
        freeReplyObject(reply);
        return redis_locks_refuse(guard, REDIS_LOCKS_TRIP_TOTAL);
    }
    if (elements > 0) {
        reply->element = (redisReply **)REDIS_LOCKS_CALLOC(elements, sizeof(redisReply *));
        if (reply->element == NULL) {
            freeReplyObject(reply);
            return redis_locks_refuse(guard, REDIS_LOCKS_TRIP_MEMORY);
        }
    }
    reply->elements = elements;
    return redis_locks_adopt(task, reply);
}

static inline void *redis_locks_create_integer(const redisReadTask *task, long long value) {
    redisReply *reply = redis_locks_make(task, REDIS_REPLY_INTEGER, NULL, 0, 0);
    if (reply == NULL) return NULL;
    reply->integer = value;
    return redis_locks_adopt(task, reply);
}

static inline void *redis_locks_create_nil(const redisReadTask *task) {
    redisReply *reply = redis_locks_make(task, REDIS_REPLY_NIL, NULL, 0, 0);
    if (reply == NULL) return NULL;
    return redis_locks_adopt(task, reply);
}

#if HIREDIS_MAJOR >= 1
// RESP3 types: never negotiated, so never right.
static inline void *redis_locks_create_double(const redisReadTask *task, double value, char *bytes, size_t len) {
    (void)value, (void)bytes, (void)len;
    return redis_locks_refuse(redis_locks_guard_of(task), REDIS_LOCKS_TRIP_TYPE);
}

static inline void *redis_locks_create_bool(const redisReadTask *task, int value) {
    (void)value;
    return redis_locks_refuse(redis_locks_guard_of(task), REDIS_LOCKS_TRIP_TYPE);
}
#endif

// Puts the guard into the context's reader. Must come before the first read: a task copies privdata when it starts.
static inline void redis_locks_install_guard(redisAsyncContext *context, redis_locks_guard *guard) {
    static redisReplyObjectFunctions functions = {
        .createString = redis_locks_create_string,
        .createArray = redis_locks_create_array,
        .createInteger = redis_locks_create_integer,
#if HIREDIS_MAJOR >= 1
        .createDouble = redis_locks_create_double,
        .createBool = redis_locks_create_bool,
#endif
        .createNil = redis_locks_create_nil,
        .freeObject = freeReplyObject,
    };
    guard->context = context;
    context->c.reader->fn = &functions;
    context->c.reader->privdata = guard;
}

// Bytes that were read from the socket and are not yet part of a reply.
static inline size_t redis_locks_unparsed(const redisAsyncContext *context) {
    return context->c.reader->len - context->c.reader->pos;
}

// Bytes that wait to be written.
static inline size_t redis_locks_unwritten(const redisAsyncContext *context) {
    return context->c.obuf == NULL ? 0 : sdslen((const sds)context->c.obuf);
}

// hiredis opens sockets without close-on-exec, and leaves keepalive off.
static inline void redis_locks_tune_socket(int fd, int keepalive_seconds) {
    int on = 1;
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
#if defined(TCP_KEEPIDLE)
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &keepalive_seconds, sizeof(keepalive_seconds));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &keepalive_seconds, sizeof(keepalive_seconds));
#elif defined(TCP_KEEPALIVE)
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPALIVE, &keepalive_seconds, sizeof(keepalive_seconds));
#endif
#if defined(SO_NOSIGPIPE)
    (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#endif
}

// Whether a TCP socket is connected to itself, which happens when a dead server's port lies in the ephemeral range:
// every command would come back as its own reply.
static inline int redis_locks_is_self_connected(int fd) {
    struct sockaddr_storage local, peer;
    socklen_t local_len = sizeof(local), peer_len = sizeof(peer);
    memset(&local, 0, sizeof(local));
    memset(&peer, 0, sizeof(peer));
    if (getsockname(fd, (struct sockaddr *)&local, &local_len) != 0) return 0;
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) != 0) return 0;
    if (local.ss_family != AF_INET && local.ss_family != AF_INET6) return 0;
    return local_len == peer_len && memcmp(&local, &peer, local_len) == 0;
}

#endif
