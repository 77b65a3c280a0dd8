// SPDX-License-Identifier: Apache-2.0
#include "history/store_parts.h"

/* How far a moment is moved whose millisecond is taken; more than that is not a clock. */
enum { MOVE_MAX_MS = 64 };

void store_forget_names(struct store *store)
{
    memset(store->names, 0, sizeof(store->names));
    store->next_name = 0;
}

static int bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    return sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

/* Parameters of finding and of adding are the same. */
static int bind_series(struct store *store, sqlite3_stmt *statement,
                       const struct past_series *of)
{
    int code;

    (void)sqlite3_reset(statement); // says how it ended the last time
    code = bind_text(statement, 1, of->served_name);
    if (code == SQLITE_OK)
        code = bind_text(statement, 2, of->id);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int(statement, 3, of->port);
    return code == SQLITE_OK ? 0 : store_file_errno(code, store->db);
}

/* -1: there are too many names in the file. */
static int find_in_file(struct store *store, const struct past_series *of, int64_t *ret)
{
    sqlite3_stmt *find = store->statements[STORE_FIND_SERIES];
    sqlite3_stmt *add = store->statements[STORE_ADD_SERIES];
    int r = bind_series(store, find, of);

    if (r == 0)
        r = store_step(store, find);
    if (r > 0) {
        *ret = sqlite3_column_int64(find, 0);
        (void)sqlite3_reset(find); // there is one
        return 0;
    }
    *ret = -1;
    if (r < 0 || store->n_series > STORE_SERIES_MAX) // the host's is one more
        return r;
    r = bind_series(store, add, of);
    if (r == 0)
        r = store_step(store, add);
    if (r < 0)
        return r;
    store->n_series++;
    *ret = sqlite3_last_insert_rowid(store->db);
    return 0;
}

/* The file's number for one of `past`; negative: its rows are not kept. */
static int find_series(struct store *store, struct past *past, uint32_t number,
                       int64_t *ret)
{
    struct past_series of;
    struct store_name *name;
    int r;

    *ret = 0;
    if (number == PAST_HOST)
        return 0;
    for (size_t i = 0; i < STORE_NAMES; i++) {
        if (store->names[i].past != number)
            continue;
        *ret = store->names[i].series;
        return 0;
    }
    *ret = -1;
    if (!past_series(past, number, &of))
        return 0;
    r = find_in_file(store, &of, ret);
    if (r < 0)
        return r;
    name = &store->names[store->next_name];
    store->next_name = (store->next_name + 1) % STORE_NAMES;
    *name = (struct store_name){number, *ret};
    return 0;
}

/* Of the slot that is over, from the rows at full rate that are there. */
static int tally_slot(struct store *store, int64_t series, struct store_tally *ret)
{
    const int64_t between[] = {series, store->slot_ms - STORE_SLOT_MS,
                               store->slot_ms + STORE_SLOT_MS};
    sqlite3_stmt *row = store_bind(store, STORE_SAMPLES, ARRAY_LEN(between), between);
    struct store_counter counter = {0, UNKNOWN};
    struct store_sample sample;
    int r;

    store_tally_init(ret);
    for (r = store_step(store, row); r > 0; r = store_step(store, row)) {
        store_load_sample(row, &sample);
        if (sample.unix_ms < store->slot_ms)
            store_count(&sample, &counter);
        else
            store_tally_sample(ret, &sample, &counter);
    }
    return r;
}

static int put_slot(struct store *store, int64_t series, const struct store_tally *tally)
{
    const int64_t key[] = {series, store->slot_ms};
    sqlite3_stmt *put = store_bind(store, STORE_PUT_SLOT, ARRAY_LEN(key), key);
    int code = store_bind_tally(put, tally);

    return code == SQLITE_OK ? store_step(store, put) : store_file_errno(code, store->db);
}

/*
 * Where the clock was set back into a time whose rows at full rate are gone, what came new
 * is added to what the slot had, and its rows go too: they are counted once.
 */
static int add_to_slot(struct store *store, int64_t series, struct store_tally *tally)
{
    const int64_t between[] = {series, store->slot_ms, store->slot_ms + STORE_SLOT_MS};
    sqlite3_stmt *row = store_bind(store, STORE_SLOTS, ARRAY_LEN(between), between);
    struct store_slot before;
    int r = store_step(store, row);

    if (r > 0) {
        store_load_slot(row, &before);
        (void)sqlite3_reset(row); // there is one
        store_tally_add(tally, &before.tally);
    }
    if (r >= 0)
        r = store_run(store, STORE_REMOVE_SAMPLES, ARRAY_LEN(between), between);
    return r;
}

static int finish_slot(struct store *store)
{
    const int64_t between[] = {store->slot_ms, store->slot_ms + STORE_SLOT_MS};
    sqlite3_stmt *row =
        store_bind(store, STORE_SERIES_WITH_SAMPLES, ARRAY_LEN(between), between);
    struct store_tally tally;
    int r;

    for (r = store_step(store, row); r > 0; r = store_step(store, row)) {
        int64_t series = sqlite3_column_int64(row, 0);

        r = tally_slot(store, series, &tally);
        if (r == 0 && store->slot_again)
            r = add_to_slot(store, series, &tally);
        if (r == 0)
            r = put_slot(store, series, &tally);
        if (r < 0)
            break;
    }
    (void)sqlite3_reset(row); // after an error it is in the middle
    return r;
}

int store_finish_slot(struct store *store)
{
    int r;

    if (!store->has_slot)
        return 0;
    r = finish_slot(store);
    if (r == 0)
        r = store_run(store, STORE_END_UNDER_WAY, 0, NULL);
    if (r == 0)
        store->has_slot = false;
    return r;
}

/* Was this slot made before, of rows that are gone? The host has a row in every moment. */
static int is_slot_again(struct store *store, int64_t slot_ms, bool *ret)
{
    const int64_t between[] = {0, slot_ms, slot_ms + STORE_SLOT_MS};
    int64_t has_slot = 0, has_sample = 0;
    sqlite3_stmt *row = store_bind(store, STORE_SLOTS, ARRAY_LEN(between), between);
    int r = store_step(store, row);

    if (r < 0)
        return r;
    has_slot = r;
    (void)sqlite3_reset(row); // that there is one is enough
    r = store_number(store, STORE_HAS_SAMPLE, ARRAY_LEN(between), between, 0,
                     &has_sample);
    *ret = has_slot && !has_sample;
    return r;
}

/* From here on rows are of the slot that begins at `slot_ms`. */
static int enter_slot(struct store *store, int64_t slot_ms)
{
    bool again = false;
    int r = 0;

    if (store->has_slot && store->slot_ms == slot_ms)
        return 0;
    if (store->has_slot)
        r = finish_slot(store);
    if (r == 0)
        r = is_slot_again(store, slot_ms, &again);
    if (r == 0)
        r = store_run(store, STORE_SET_UNDER_WAY, 2, (int64_t[]){slot_ms, again});
    if (r < 0)
        return r;
    store->has_slot = true;
    store->slot_ms = slot_ms;
    store->slot_again = again;
    return 0;
}

/* 1: it is there; 0: its time is taken. */
static int add_row(struct store *store, int64_t series, int64_t unix_ms,
                   const struct past_row *row)
{
    const int64_t key[] = {series, unix_ms};
    sqlite3_stmt *add = store_bind(store, STORE_ADD_SAMPLE, ARRAY_LEN(key), key);
    int r = store_bind_row(add, row);

    r = r == SQLITE_OK ? store_step(store, add) : store_file_errno(r, store->db);
    return r < 0 ? r : sqlite3_changes(store->db) > 0;
}

/*
 * The first row, the host's, looks for a time that is free: where the clock was set back,
 * moments may come at a millisecond that there was already. Neither of them goes.
 */
static int place_moment(struct store *store, const struct past_moment *moment,
                        int64_t *ret_unix_ms)
{
    int64_t unix_ms = moment->unix_ms;
    int r = 0;

    for (int i = 0; r == 0 && i <= MOVE_MAX_MS; i++) {
        unix_ms = moment->unix_ms + i;
        r = enter_slot(store, store_floor(unix_ms, STORE_SLOT_MS));
        if (r == 0)
            r = add_row(store, PAST_HOST, unix_ms, &moment->rows[0]);
    }
    *ret_unix_ms = unix_ms;
    return r;
}

static int add_rows(struct store *store, struct past *past,
                    const struct past_moment *moment)
{
    int64_t unix_ms, series;
    int r = place_moment(store, moment, &unix_ms);

    if (r <= 0)
        return r; // no time is free: it is left out
    for (uint32_t i = 1; i < moment->n_rows; i++) {
        r = find_series(store, past, moment->rows[i].series, &series);
        if (r == 0 && series > 0)
            r = add_row(store, series, unix_ms, &moment->rows[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

int store_add_moment(struct store *store, struct past *past,
                     const struct past_moment *moment)
{
    int r = store_begin(store);

    if (r < 0 || moment->n_rows == 0)
        return r;
    r = add_rows(store, past, moment);
    if (r < 0)
        store->error = r;
    return r;
}

static int bind_event(sqlite3_stmt *add, const struct event *event, const char *text)
{
    const char *const texts[] = {event_name(event->kind),
                                 event_severity_name(event_severity(event->kind)),
                                 event->served_name, event->device, text};
    int code = SQLITE_OK;

    if (event->port == 0)
        code = sqlite3_bind_null(add, 3);
    for (size_t i = 0; code == SQLITE_OK && i < ARRAY_LEN(texts); i++)
        code = texts[i][0] || i == ARRAY_LEN(texts) - 1
                   ? bind_text(add, 4 + (int)i, texts[i])
                   : sqlite3_bind_null(add, 4 + (int)i);
    return code;
}

int store_add_event(struct store *store, const struct event *event)
{
    const int64_t numbers[] = {(int64_t)event->id, event->unix_ms, event->port};
    char text[EVENT_TEXT_SIZE];
    sqlite3_stmt *add;
    int r = store_begin(store);

    if (r < 0)
        return r;
    event_say_where(event, text); // there is no column of nodes
    add = store_bind(store, STORE_ADD_EVENT, ARRAY_LEN(numbers), numbers);
    r = bind_event(add, event, text);
    r = r == SQLITE_OK ? store_step(store, add) : store_file_errno(r, store->db);
    if (r < 0)
        store->error = r;
    return r;
}
