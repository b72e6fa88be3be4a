/*
 * The rule by which a quorum of Redis servers issues fencing tokens: each server raises a counter with every grant, and a
 * token is issued when a majority was seen granting while its counter stood at exactly that token.
 *
 * The clock is left out: counters rise by one, which is what they do when the servers' clocks are of no help at all.
 *
 * What is chosen here is chosen so that every run of the real thing has a run of the model with the same tokens:
 *
 * - A request that is lost is one that is never delivered. So is one that finds nothing to do: an ACQUIRE on a name that is
 *   somebody else's, a CONFIRM on one that is not ours.
 * - A key may vanish at any instant (expiry, eviction, RELEASE). It makes no difference before the next request arrives at
 *   that server, so it is decided there.
 * - A reply that is lost or late is one that the client does not use: it decides on any majority of what it could have
 *   heard, at any time. A second reply of the same server may or may not replace the first.
 * - A token is "issued before the other attempt was invoked" when no request of the other one had taken effect by then:
 *   the servers cannot tell the difference.
 * - Attempts are alike, so the one whose request takes effect first is called number 0. Servers are alike, so their first
 *   counters are in order. Only differences of counters matter, so the smallest is 0.
 *
 * Bounds: three servers, two attempts, counters that differ by SPREAD in the beginning, ROUNDS rounds of CONFIRM for each
 * attempt, and DUPLICATES requests delivered once more in a run, each at any time after its first delivery.
 *
 * Variants: see README.md.
 */
#ifndef SPREAD
#define SPREAD 2
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef DUPLICATES
#define DUPLICATES 1
#endif
#if ROUNDS > 3 || (defined(IN_ORDER) && ROUNDS > 2)
#error "so many rounds are not written down here"
#endif

#define SERVERS 3
#define BIT(n) (1 << (n))
#define OWNER(a) ((a) + 1)
#define NOBODY 0
#define NOTHING 0

typedef Server {
    byte owner;                 /* the lock's key */
    byte counter                /* the fencing counter */
};

typedef Attempt {
    byte acquire;               /* servers to which an ACQUIRE is under way, as a set of bits */
    byte confirm[ROUNDS];       /* the same for the CONFIRM of each round */
    byte asked[ROUNDS];         /* the token in it */
    byte rounds;                /* how many have begun */
    byte top;                   /* what the last of them asked for: a client never goes back to less */
    byte seen[SERVERS];         /* where the counter stood while the name was ours, as far as was heard */
#ifdef FIND
    byte heard[SERVERS];        /* in which round */
#endif
    byte token                  /* what was issued */
};

Server server[SERVERS];
Attempt attempt[2];
byte duplicates = DUPLICATES;
bool started;                   /* a request of attempt 0 has taken effect */
bool overlapped;                /* one of attempt 1 took effect before attempt 0 was issued a token */
#ifdef FORGETFUL
bool forgot;
#endif

/* The network hands over one of the requests, and may keep a copy. */
inline receive(requests) {
    if
    :: requests = requests & ~BIT(n)
    :: duplicates > 0 -> duplicates--
    fi
}

inline reply(a, value, round) {
    if
    :: attempt[a].token == NOTHING -> attempt[a].seen[n] = value;
#ifdef FIND
       attempt[a].heard[n] = round
#endif
    :: attempt[a].token != NOTHING || attempt[a].seen[n] != NOTHING
    fi
}

inline serve_acquire(a) {
    receive(attempt[a].acquire);
    if
    :: a == 0 -> started = true
    :: a == 1 && attempt[0].token == NOTHING -> overlapped = true
    :: else
    fi;
    if
    :: server[n].owner == OWNER(a)      /* ours already */
    :: server[n].owner = OWNER(a);      /* free, or whatever was there has just vanished */
       server[n].counter++
    fi;
    printf("server %d answers ACQUIRE of attempt %d: %d\n", n, a, server[n].counter);
    reply(a, server[n].counter, 0)
}

inline serve_confirm(a, round) {
    receive(attempt[a].confirm[round]);
#ifdef IN_ORDER
    /* A connection keeps the order of requests: what is overtaken never arrives. */
    if
    :: round > 0 -> attempt[a].confirm[0] = attempt[a].confirm[0] & ~BIT(n)
    :: else
    fi;
#endif
    if
#ifndef NO_EXACTNESS
    :: server[n].counter > attempt[a].asked[round] -> skip
#endif
    :: else -> server[n].counter = attempt[a].asked[round]
    fi;
#ifdef NO_EXACTNESS
    reply(a, attempt[a].asked[round], round + 1);
#else
    reply(a, server[n].counter, round + 1);
#endif
    printf("server %d answers CONFIRM %d of attempt %d; its counter is %d\n", n, attempt[a].asked[round], a, server[n].counter);
    if
    :: attempt[a].confirm[round] == 0 -> attempt[a].asked[round] = NOTHING
    :: else
    fi
}

#ifdef NO_OWNER_CHECK
#define MAY_CONFIRM(a) true
#else
#define MAY_CONFIRM(a) (server[n].owner == OWNER(a))
#endif
#define CONFIRM(a, round) atomic { \
    (attempt[a].confirm[round] & BIT(n)) && MAY_CONFIRM(a) -> serve_confirm(a, round) }

/* A lease that is extended tells its token to servers that are behind it, as long as the name is its own there. */
#define EXTEND(a) d_step { \
    attempt[a].token > server[n].counter && server[n].owner == OWNER(a) -> server[n].counter = attempt[a].token }

proctype Network(byte n) {
end:
    do
    :: atomic { (attempt[0].acquire & BIT(n)) -> serve_acquire(0) }
    :: atomic { started && (attempt[1].acquire & BIT(n)) -> serve_acquire(1) }
    :: CONFIRM(0, 0)
    :: CONFIRM(1, 0)
#if ROUNDS > 1
    :: CONFIRM(0, 1)
    :: CONFIRM(1, 1)
#endif
#if ROUNDS > 2
    :: CONFIRM(0, 2)
    :: CONFIRM(1, 2)
#endif
    :: EXTEND(0)
    :: EXTEND(1)
#ifdef FORGETFUL
    :: d_step { !forgot -> forgot = true; server[n].owner = NOBODY; server[n].counter = 0;
       printf("server %d forgets everything\n", n) }
#endif
    od
}

inline issue() {
    printf("attempt %d is issued %d\n", a, attempt[a].token);
    /* The tokens are unique, and in order. */
    assert(attempt[0].token != attempt[1].token);
    assert(a == 0 || overlapped || attempt[1].token > attempt[0].token);
    /* What a finished attempt has heard plays no part any more; what it has sent still does. */
    attempt[a].seen[0] = NOTHING;
    attempt[a].seen[1] = NOTHING;
    attempt[a].seen[2] = NOTHING;
    attempt[a].rounds = 0;
    attempt[a].top = NOTHING
}

#define SEEN(x) attempt[a].seen[x]
#ifdef FIND
/* Claims what is not so: that no token depends on that round of CONFIRM. */
#define FOUND(x, y) assert(attempt[1 - a].token == NOTHING || (attempt[a].heard[x] < FIND && attempt[a].heard[y] < FIND))
#else
#define FOUND(x, y) skip
#endif
#define UNDECIDED (attempt[a].token == NOTHING)

inline ask(x) {
    if
    :: SEEN(x) < attempt[a].top ->
       printf("attempt %d sends CONFIRM %d to server %d\n", a, attempt[a].top, x);
       attempt[a].confirm[attempt[a].rounds] = attempt[a].confirm[attempt[a].rounds] | BIT(x)
    :: else
    fi
}

/* On hearing of x and y. */
#define MAX(x, y) (SEEN(x) > SEEN(y) -> SEEN(x) : SEEN(y))
#ifdef NO_CONFIRM
#define ISSUE(x, y) d_step { UNDECIDED && SEEN(x) && SEEN(y) -> attempt[a].token = MAX(x, y); issue() }
#else
#define ISSUE(x, y) d_step { UNDECIDED && SEEN(x) && SEEN(x) == SEEN(y) && SEEN(x) >= attempt[a].top -> \
    attempt[a].token = SEEN(x); FOUND(x, y); issue() }
#endif
#define MAY_ASK(value) (UNDECIDED && attempt[a].rounds < ROUNDS && (value) >= attempt[a].top)
#define ASK(x, y) d_step { SEEN(x) && SEEN(y) && SEEN(x) != SEEN(y) && MAY_ASK(MAX(x, y)) -> \
    attempt[a].top = MAX(x, y); attempt[a].asked[attempt[a].rounds] = attempt[a].top; ask(x); ask(y); attempt[a].rounds++ }
/* On hearing of all three, where z is ahead of both others. */
#define ASK_BOTH(x, y, z) d_step { SEEN(x) && SEEN(y) && SEEN(x) < SEEN(z) && SEEN(y) < SEEN(z) && MAY_ASK(SEEN(z)) -> \
    attempt[a].top = SEEN(z); attempt[a].asked[attempt[a].rounds] = attempt[a].top; ask(x); ask(y); attempt[a].rounds++ }

proctype Client(byte a) {
end:
    do
    :: ISSUE(0, 1)
    :: ISSUE(0, 2)
    :: ISSUE(1, 2)
#ifndef NO_CONFIRM
    :: ASK(0, 1)
    :: ASK(0, 2)
    :: ASK(1, 2)
    :: ASK_BOTH(0, 1, 2)
    :: ASK_BOTH(0, 2, 1)
    :: ASK_BOTH(1, 2, 0)
#endif
    od
}

init {
    byte counter;
    atomic {
        select(counter: 0 .. SPREAD);
        server[1].counter = counter;
        select(counter: counter .. SPREAD);
        server[2].counter = counter;
        printf("the counters are 0, %d, %d\n", server[1].counter, server[2].counter);
        counter = 0;
        attempt[0].acquire = 7;
        attempt[1].acquire = 7;
        run Network(0);
        run Network(1);
        run Network(2);
        run Client(0);
        run Client(1)
    }
}
