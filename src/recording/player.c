// SPDX-License-Identifier: Apache-2.0
#include "recording/player.h"

#include "base/clock.h"

enum {
    MARKS_MAX = 16384,
    MARK_EVERY_MS = 5 * 1000, // at first; where there are too many, half are let go
};

/* The place of an entry, and when it is played, counted from the first one. */
struct mark {
    struct recording_mark place;
    int64_t at_ms;
};

enum ahead { AHEAD_NOTHING, AHEAD_ENTRY, AHEAD_END };

struct player {
    struct player_options options;
    bool begun;
    bool held;
    double speed;
    double position_ms; // at `since_ns`, of what is played
    uint64_t since_ns;
    enum ahead ahead; // what has been read and not been given yet
    struct recording_entry entry;
    int64_t entry_ms; // when the one ahead, or else the last one, is played
    int64_t last_unix_ms;
    int64_t given_ms, given_unix_ms; // of the entry given last
    bool has_last;                   // an entry was met since the start
    bool failed;
    struct mark *marks;
    size_t n_marks;
    int64_t mark_every_ms;
};

static double position(const struct player *player, uint64_t now_ns)
{
    double passed_ms = (double)(now_ns - MIN(player->since_ns, now_ns)) / NS_PER_MS;

    return player->held ? player->position_ms
                        : player->position_ms + passed_ms * player->speed;
}

static void move_to(struct player *player, double position_ms, uint64_t now_ns)
{
    player->position_ms = position_ms;
    player->since_ns = now_ns;
}

/* Every other one goes, so that a recording of any length has marks from end to end. */
static void thin_out(struct player *player)
{
    for (size_t i = 0; i < player->n_marks / 2; i++)
        player->marks[i] = player->marks[2 * i];
    player->n_marks /= 2;
    player->mark_every_ms *= 2;
}

static void add_mark(struct player *player, const struct mark *mark)
{
    if (player->n_marks &&
        mark->at_ms - player->marks[player->n_marks - 1].at_ms < player->mark_every_ms)
        return;
    if (player->n_marks == MARKS_MAX)
        thin_out(player);
    player->marks[player->n_marks++] = *mark;
}

static int64_t gap_ms(const struct player *player, int64_t unix_ms)
{
    int64_t gap = player->has_last ? unix_ms - player->last_unix_ms : 0;

    gap = MAX(gap, (int64_t)0);
    return MIN(gap, (int64_t)PLAYER_GAP_MAX_MS);
}

static int read_ahead(struct player *player, struct complaint *why)
{
    struct mark mark = {.place = recording_mark(player->options.recording)};
    int r = recording_next(player->options.recording, &player->entry, why);

    if (r < 0) {
        player->ahead = AHEAD_END;
        player->failed = true;
        return r;
    }
    player->ahead = r > 0 ? AHEAD_ENTRY : AHEAD_END;
    if (r == 0)
        return 0;
    player->entry_ms += gap_ms(player, player->entry.unix_ms);
    player->last_unix_ms = player->entry.unix_ms;
    player->has_last = true;
    mark.at_ms = player->entry_ms;
    add_mark(player, &mark);
    return 0;
}

/* Go on from a mark. */
static int go_to(struct player *player, const struct mark *mark, struct complaint *why)
{
    int r = recording_seek(player->options.recording, &mark->place, why);

    if (r < 0)
        return r;
    player->ahead = AHEAD_NOTHING;
    player->failed = false;
    player->has_last = false; // the first entry there is played at the mark's own time
    player->entry_ms = mark->at_ms;
    return 0;
}

/* At the end: to the first entry, after a pause, so that a short one does not spin. */
static int start_again(struct player *player, uint64_t now_ns, struct complaint *why)
{
    int r = go_to(player, &player->marks[0], why);

    if (r == 0)
        move_to(player, -(double)PLAYER_LOOP_PAUSE_MS, now_ns);
    player->failed = r < 0;
    return r;
}

int player_new(const struct player_options *options, struct player **ret)
{
    struct player *player = calloc(1, sizeof(*player));

    if (!player)
        return -ENOMEM;
    player->options = *options;
    player->speed = options->speed;
    player->mark_every_ms = MARK_EVERY_MS;
    player->marks = calloc(MARKS_MAX, sizeof(*player->marks));
    if (!player->marks) {
        free(player);
        return -ENOMEM;
    }
    *ret = player;
    return 0;
}

void player_free(struct player *player)
{
    if (!player)
        return;
    free(player->marks);
    free(player);
}

int player_next(struct player *player, uint64_t now_ns, struct recording_entry *ret,
                struct complaint *why)
{
    int r = 0;

    if (!player->begun) {
        player->begun = true;
        move_to(player, 0, now_ns);
    }
    if (player->ahead == AHEAD_NOTHING)
        r = read_ahead(player, why);
    if (r == 0 && player->ahead == AHEAD_END && player->options.loop && !player->failed &&
        player->n_marks)
        r = start_again(player, now_ns, why);
    if (r == 0 && player->ahead == AHEAD_NOTHING)
        r = read_ahead(player, why);
    if (r < 0)
        return r;
    if (player->ahead == AHEAD_END || position(player, now_ns) < (double)player->entry_ms)
        return 0;
    player->ahead = AHEAD_NOTHING;
    player->given_ms = player->entry_ms;
    player->given_unix_ms = player->entry.unix_ms;
    *ret = player->entry;
    return 1;
}

uint64_t player_wait_ns(const struct player *player, uint64_t now_ns)
{
    double left_ms = (double)player->entry_ms - position(player, now_ns);

    if (player->ahead == AHEAD_END || player->held)
        return UINT64_MAX;
    if (player->ahead == AHEAD_NOTHING || left_ms <= 0)
        return 0;
    return (uint64_t)(left_ms / player->speed * NS_PER_MS) + 1;
}

int64_t player_unix_ms(const struct player *player, uint64_t now_ns)
{
    double passed_ms = position(player, now_ns) - (double)player->given_ms;

    if (player->ahead == AHEAD_END || passed_ms < 0)
        passed_ms = 0;
    return player->given_unix_ms +
           (int64_t)(passed_ms < PLAYER_GAP_MAX_MS ? passed_ms : PLAYER_GAP_MAX_MS);
}

bool player_ended(const struct player *player)
{
    return player->ahead == AHEAD_END;
}

void player_hold(struct player *player, bool held, uint64_t now_ns)
{
    move_to(player, position(player, now_ns), now_ns);
    player->held = held;
}

void player_speed(struct player *player, double factor, uint64_t now_ns)
{
    double speed = player->speed * factor;

    move_to(player, position(player, now_ns), now_ns);
    if (speed >= PLAYER_SPEED_MIN && speed <= PLAYER_SPEED_MAX)
        player->speed = speed;
}

/* The last one that is not behind `at_ms`; there is one. */
static const struct mark *mark_before(const struct player *player, double at_ms)
{
    size_t i = player->n_marks - 1;

    while (i > 0 && (double)player->marks[i].at_ms > at_ms)
        i--;
    return &player->marks[i];
}

int player_seek(struct player *player, int64_t by_ms, uint64_t now_ns,
                struct complaint *why)
{
    double from = position(player, now_ns), to;

    if (!player->n_marks)
        return 0;
    if (player->ahead == AHEAD_END) // time has run on behind it
        from = MIN(from, (double)player->entry_ms);
    to = MAX(from + (double)by_ms, 0.0);
    if (by_ms < 0) {
        int r = go_to(player, mark_before(player, to), why);

        if (r < 0)
            return r;
    } else if (player->ahead == AHEAD_END) {
        to = from;
    }
    move_to(player, to, now_ns);
    return 0;
}
