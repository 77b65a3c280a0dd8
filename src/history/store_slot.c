// SPDX-License-Identifier: Apache-2.0
#include "history/store_parts.h"

/* Where things are in a row of slot: series, unix_ms, n, then these. */
enum {
    SLOT_N = 2,
    SLOT_FIGURES = 3,
    SLOT_KNOWN = SLOT_FIGURES + 3 * STORE_FIGURES,
    SLOT_PREEMPTIONS = SLOT_KNOWN + STORE_FIGURES,
};

/* In the file the hit rate is in percent, for people; here in ppm, as everywhere. */
#define PPM_PER_PERCENT 1e4

void store_tally_init(struct store_tally *tally)
{
    *tally = (struct store_tally){.preemptions = (double)NAN};
}

/*
 * A counter that went back is a new engine's, or the clock did: nothing is known to have
 * happened. Over a gap neither: nobody can say when.
 */
static void count_preemptions(struct store_tally *tally,
                              const struct store_sample *sample,
                              const struct store_counter *counter)
{
    if (sample->preemptions == UNKNOWN || counter->value == UNKNOWN ||
        sample->unix_ms - counter->unix_ms > STORE_SLOT_MS)
        return;
    if (isnan(tally->preemptions))
        tally->preemptions = 0;
    if (sample->preemptions > counter->value)
        tally->preemptions += (double)(sample->preemptions - counter->value);
}

void store_count(const struct store_sample *sample, struct store_counter *counter)
{
    if (sample->preemptions == UNKNOWN)
        return;
    counter->unix_ms = sample->unix_ms;
    counter->value = sample->preemptions;
}

void store_tally_sample(struct store_tally *tally, const struct store_sample *sample,
                        struct store_counter *counter)
{
    tally->count++;
    for (size_t i = 0; i < STORE_FIGURES; i++) {
        double value = sample->figures[i];

        if (isnan(value))
            continue;
        if (tally->figures[i].known++ == 0) {
            tally->figures[i].sum = tally->figures[i].min = tally->figures[i].max = value;
            continue;
        }
        tally->figures[i].sum += value;
        if (value < tally->figures[i].min)
            tally->figures[i].min = value;
        if (value > tally->figures[i].max)
            tally->figures[i].max = value;
    }
    count_preemptions(tally, sample, counter);
    store_count(sample, counter);
}

void store_tally_add(struct store_tally *tally, const struct store_tally *other)
{
    tally->count += other->count;
    for (size_t i = 0; i < STORE_FIGURES; i++) {
        if (other->figures[i].known == 0)
            continue;
        if (tally->figures[i].known == 0) {
            tally->figures[i] = other->figures[i];
            continue;
        }
        tally->figures[i].known += other->figures[i].known;
        tally->figures[i].sum += other->figures[i].sum;
        tally->figures[i].min = fmin(tally->figures[i].min, other->figures[i].min);
        tally->figures[i].max = fmax(tally->figures[i].max, other->figures[i].max);
    }
    if (isnan(tally->preemptions))
        tally->preemptions = other->preemptions;
    else if (!isnan(other->preemptions))
        tally->preemptions += other->preemptions;
}

static bool is_null(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL;
}

static double load_figure(sqlite3_stmt *row, int column, size_t figure)
{
    sqlite3_value *value = sqlite3_column_value(row, column);

    if (sqlite3_value_type(value) == SQLITE_NULL)
        return (double)NAN;
    return sqlite3_value_double(value) * (figure == PAST_HIT_PPM ? PPM_PER_PERCENT : 1);
}

/* A whole number of them: what percent has lost comes back. */
static double load_whole(sqlite3_stmt *row, int column, size_t figure)
{
    double value = load_figure(row, column, figure);

    return figure == PAST_HIT_PPM ? round(value) : value;
}

void store_load_sample(sqlite3_stmt *row, struct store_sample *ret)
{
    ret->unix_ms = sqlite3_column_int64(row, 0);
    for (size_t i = 0; i < STORE_FIGURES; i++)
        ret->figures[i] = load_whole(row, 1 + (int)i, i);
    ret->preemptions = is_null(row, 1 + STORE_FIGURES)
                           ? UNKNOWN
                           : (uint64_t)sqlite3_column_int64(row, 1 + STORE_FIGURES);
}

void store_load_slot(sqlite3_stmt *row, struct store_slot *ret)
{
    struct store_tally *tally = &ret->tally;

    ret->unix_ms = sqlite3_column_int64(row, 1);
    tally->count = (uint64_t)MAX(sqlite3_column_int64(row, SLOT_N), (int64_t)0);
    for (int i = 0; i < STORE_FIGURES; i++) {
        int column = SLOT_FIGURES + 3 * i;
        uint64_t known = is_null(row, SLOT_KNOWN + i)
                             ? tally->count
                             : (uint64_t)sqlite3_column_int64(row, SLOT_KNOWN + i);
        double mean = load_figure(row, column, (size_t)i);

        tally->figures[i].known = isnan(mean) ? 0 : known;
        tally->figures[i].sum = mean * (double)known;
        tally->figures[i].min = load_whole(row, column + 1, (size_t)i);
        tally->figures[i].max = load_whole(row, column + 2, (size_t)i);
    }
    tally->preemptions = is_null(row, SLOT_PREEMPTIONS)
                             ? (double)NAN
                             : sqlite3_column_double(row, SLOT_PREEMPTIONS);
}

static int bind_figure(sqlite3_stmt *statement, int at, size_t figure, double value,
                       bool is_mean)
{
    if (isnan(value))
        return sqlite3_bind_null(statement, at);
    if (figure == PAST_HIT_PPM)
        return sqlite3_bind_double(statement, at, value / PPM_PER_PERCENT);
    if (is_mean && figure >= PAST_REQUESTS_RUNNING)
        return sqlite3_bind_double(statement, at, value);
    return sqlite3_bind_int64(statement, at, llround(value)); // bytes are whole ones
}

/* What is too large for the file is not known to it. */
static int bind_count(sqlite3_stmt *statement, int at, uint64_t value)
{
    if (value > INT64_MAX)
        return sqlite3_bind_null(statement, at);
    return sqlite3_bind_int64(statement, at, (int64_t)value);
}

int store_bind_row(sqlite3_stmt *statement, const struct past_row *row)
{
    int r = SQLITE_OK;

    for (int i = 0; r == SQLITE_OK && i < PAST_FIGURES; i++)
        r = i == PAST_HIT_PPM && row->figures[i] != UNKNOWN
                ? sqlite3_bind_double(statement, 3 + i,
                                      (double)row->figures[i] / PPM_PER_PERCENT)
                : bind_count(statement, 3 + i, row->figures[i]);
    return r;
}

/* Parameters are numbered from 1, columns from 0. */
int store_bind_tally(sqlite3_stmt *statement, const struct store_tally *tally)
{
    int r = sqlite3_bind_int64(statement, 1 + SLOT_N, (int64_t)tally->count);

    for (int i = 0; r == SQLITE_OK && i < STORE_FIGURES; i++) {
        uint64_t known = tally->figures[i].known;
        double numbers[3] = {(double)NAN, (double)NAN, (double)NAN};

        if (known > 0) {
            numbers[0] = tally->figures[i].sum / (double)known;
            numbers[1] = tally->figures[i].min;
            numbers[2] = tally->figures[i].max;
        }
        for (int k = 0; r == SQLITE_OK && k < 3; k++)
            r = bind_figure(statement, 1 + SLOT_FIGURES + 3 * i + k, (size_t)i,
                            numbers[k], k == 0);
        if (r == SQLITE_OK)
            r = bind_count(statement, 1 + SLOT_KNOWN + i,
                           known == 0 || known == tally->count ? UNKNOWN : known);
    }
    if (r == SQLITE_OK)
        r = isnan(tally->preemptions)
                ? sqlite3_bind_null(statement, 1 + SLOT_PREEMPTIONS)
                : sqlite3_bind_int64(statement, 1 + SLOT_PREEMPTIONS,
                                     llround(tally->preemptions));
    return r;
}
