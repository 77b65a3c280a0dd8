// SPDX-License-Identifier: Apache-2.0
#include "history/flight_tape.h"

#include "history/flight.h"

#include <assert.h>

enum {
    MEMBER_MS = 15 * 1000,
    MEMBER_BYTES = 128 * 1024, // more, and the next one is begun before its time
    MEMBERS_MAX = 64,
    KEEP_MS = FLIGHT_BEFORE_MS + FLIGHT_AFTER_MS,
    GAP_MAX_MS = 60 * 1000, // between two lines that counts as time
};

// What a member is ended by, what zlib may hold back of it, and the largest line.
_Static_assert(MEMBER_BYTES + 128 * 1024 + FLIGHT_PENDING_BYTES < FLIGHT_BYTES,
               "one member has room, whatever comes");

struct member {
    uint64_t at; // of its first byte, of all there ever were
    int64_t unix_ms;
    uint64_t time_ms, last_ms; // of its first and last line, by the tape's time
};

struct flight_tape {
    struct recording_gzip *gzip;
    uint64_t end;     // bytes there ever were
    uint64_t time_ms; // the tape's: what has passed between lines
    int64_t unix_ms;  // of the newest line
    size_t n;         // members; the last of them may be open
    struct member members[MEMBERS_MAX];
    char bytes[FLIGHT_BYTES]; // byte i is at i modulo their number
};

static uint64_t oldest_at(const struct flight_tape *tape)
{
    return tape->n ? tape->members[0].at : tape->end;
}

static void drop_oldest(struct flight_tape *tape)
{
    tape->n--;
    memmove(tape->members, tape->members + 1, tape->n * sizeof(tape->members[0]));
}

static int put_bytes(void *ctx, struct span piece)
{
    struct flight_tape *tape = ctx;

    while (tape->end + piece.len - oldest_at(tape) > FLIGHT_BYTES) {
        assert(tape->n > 1); // never the one that is being put down
        drop_oldest(tape);
    }
    while (piece.len > 0) {
        size_t at = tape->end % FLIGHT_BYTES;
        size_t len = MIN(piece.len, FLIGHT_BYTES - at);

        memcpy(tape->bytes + at, piece.at, len);
        piece = (struct span){piece.at + len, piece.len - len};
        tape->end += len;
    }
    return 0;
}

int flight_tape_new(struct flight_tape **ret)
{
    struct flight_tape *tape = calloc(1, sizeof(*tape));

    if (!tape)
        return -ENOMEM;
    if (recording_gzip_new(RECORDING_EFFORT_LEAST, put_bytes, tape, &tape->gzip) < 0) {
        free(tape);
        return -ENOMEM;
    }
    *ret = tape;
    return 0;
}

void flight_tape_free(struct flight_tape *tape)
{
    if (!tape)
        return;
    recording_gzip_free(tape->gzip);
    free(tape);
}

/* As a player has it: back in time is none, a long pause a short one. */
static void take_time(struct flight_tape *tape, int64_t unix_ms)
{
    if (tape->n && unix_ms > tape->unix_ms)
        tape->time_ms +=
            MIN((uint64_t)unix_ms - (uint64_t)tape->unix_ms, (uint64_t)GAP_MAX_MS);
    tape->unix_ms = unix_ms;
}

static void end_member(struct flight_tape *tape)
{
    (void)!recording_gzip_end(tape->gzip); // put_bytes() does not fail
}

static struct member *open_member(struct flight_tape *tape)
{
    return recording_gzip_in_member(tape->gzip) ? &tape->members[tape->n - 1] : NULL;
}

static void begin_member(struct flight_tape *tape)
{
    if (tape->n == MEMBERS_MAX)
        drop_oldest(tape);
    tape->members[tape->n++] = (struct member){
        .at = tape->end, .unix_ms = tape->unix_ms, .time_ms = tape->time_ms};
}

static void drop_old(struct flight_tape *tape)
{
    while (tape->n > 1 && tape->members[0].last_ms + KEEP_MS < tape->time_ms)
        drop_oldest(tape);
}

void flight_tape_add(struct flight_tape *tape, struct span line, int64_t unix_ms)
{
    const struct member *open = open_member(tape);

    take_time(tape, unix_ms);
    if (open && (tape->time_ms - open->time_ms >= MEMBER_MS ||
                 tape->end - open->at >= MEMBER_BYTES)) {
        end_member(tape);
        open = NULL;
    }
    if (!open)
        begin_member(tape);
    tape->members[tape->n - 1].last_ms = tape->time_ms;
    (void)!recording_gzip_add(tape->gzip, line, false);
    drop_old(tape);
}

int flight_tape_play(struct flight_tape *tape, recording_piece_fn *put, void *ctx)
{
    uint64_t at;
    int r = 0;

    end_member(tape);
    at = oldest_at(tape);
    while (r == 0 && at < tape->end) {
        size_t begin = at % FLIGHT_BYTES;
        size_t len = MIN(tape->end - at, (uint64_t)(FLIGHT_BYTES - begin));

        r = put(ctx, (struct span){tape->bytes + begin, len});
        at += len;
    }
    return r;
}

bool flight_tape_begin_ms(const struct flight_tape *tape, int64_t *ret_unix_ms)
{
    if (tape->n == 0)
        return false;
    *ret_unix_ms = tape->members[0].unix_ms;
    return true;
}

size_t flight_tape_bytes(const struct flight_tape *tape)
{
    return tape->end - oldest_at(tape);
}
