// SPDX-License-Identifier: Apache-2.0
#include "history/past_coder.h"

enum { OTHER_ROWS = 1 }; // flag: their series follow

_Static_assert(PAST_FIGURES <= 8, "a row's changed figures are the bits of one byte");

/* Small for a small difference, down or up. */
static uint64_t zigzag(uint64_t difference)
{
    return (difference << 1) ^ (0 - (difference >> 63));
}

static uint64_t unzigzag(uint64_t value)
{
    return (value >> 1) ^ (0 - (value & 1));
}

static uint8_t *put_number(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

static const uint8_t *get_number(const uint8_t *at, uint64_t *ret)
{
    uint64_t value = 0;
    unsigned shift = 0;

    for (; *at & 0x80; shift += 7)
        value |= (uint64_t)(*at++ & 0x7f) << shift;
    *ret = value | (uint64_t)*at++ << shift;
    return at;
}

/* A time, as the change of its step; `step` is set to the new one. */
static uint8_t *put_time(uint8_t *at, uint64_t last, uint64_t time, uint64_t *step)
{
    uint64_t now = time - last;

    at = put_number(at, zigzag(now - *step));
    *step = now;
    return at;
}

static const uint8_t *get_time(const uint8_t *at, uint64_t *step)
{
    uint64_t change;

    at = get_number(at, &change);
    *step += unzigzag(change);
    return at;
}

/* What the rows are called from now on; each keeps the figures of its series. */
static void follow_rows(struct past_coder *coder, uint32_t n,
                        const uint32_t series[PAST_ROWS_MAX])
{
    uint32_t n_before = coder->last.n_rows;

    memcpy(coder->before, coder->last.rows, n_before * sizeof(coder->before[0]));
    coder->last.n_rows = n;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = 0;

        while (k < n_before && coder->before[k].series != series[i])
            k++;
        if (k < n_before)
            coder->last.rows[i] = coder->before[k];
        else
            coder->last.rows[i] = (struct past_row){.series = series[i]};
    }
}

static bool has_other_rows(const struct past_coder *coder,
                           const struct past_moment *moment)
{
    if (moment->n_rows != coder->last.n_rows)
        return true;
    for (uint32_t i = 0; i < moment->n_rows; i++)
        if (moment->rows[i].series != coder->last.rows[i].series)
            return true;
    return false;
}

static uint8_t *put_series(uint8_t *at, struct past_coder *coder,
                           const struct past_moment *moment)
{
    uint32_t series[PAST_ROWS_MAX];

    at = put_number(at, moment->n_rows);
    for (uint32_t i = 0; i < moment->n_rows; i++) {
        series[i] = moment->rows[i].series;
        at = put_number(at, series[i]);
    }
    follow_rows(coder, moment->n_rows, series);
    return at;
}

static const uint8_t *get_series(const uint8_t *at, struct past_coder *coder)
{
    uint32_t series[PAST_ROWS_MAX];
    uint64_t n, value;

    at = get_number(at, &n);
    for (uint64_t i = 0; i < n; i++) {
        at = get_number(at, &value);
        series[i] = (uint32_t)value;
    }
    follow_rows(coder, (uint32_t)n, series);
    return at;
}

static uint8_t *put_row(uint8_t *at, struct past_row *last, const struct past_row *row)
{
    uint8_t *changed = at++;

    *changed = 0;
    for (unsigned i = 0; i < PAST_FIGURES; i++) {
        if (row->figures[i] == last->figures[i])
            continue;
        *changed |= (uint8_t)(1U << i);
        at = put_number(at, zigzag(row->figures[i] - last->figures[i]));
        last->figures[i] = row->figures[i];
    }
    return at;
}

static const uint8_t *get_row(const uint8_t *at, struct past_row *last)
{
    unsigned changed = *at++;

    for (unsigned i = 0; i < PAST_FIGURES; i++) {
        uint64_t difference;

        if (!(changed & 1U << i))
            continue;
        at = get_number(at, &difference);
        last->figures[i] += unzigzag(difference);
    }
    return at;
}

void past_coder_reset(struct past_coder *coder)
{
    coder->last.taken_ns = coder->taken_step = coder->unix_step = 0;
    coder->last.unix_ms = 0;
    coder->last.n_rows = 0;
}

size_t past_encode(struct past_coder *coder, const struct past_moment *moment,
                   uint8_t ret[PAST_ENCODED_MAX])
{
    struct past_moment *last = &coder->last;
    bool other_rows = has_other_rows(coder, moment);
    uint8_t *at = ret;

    *at++ = other_rows ? OTHER_ROWS : 0;
    at = put_time(at, last->taken_ns, moment->taken_ns, &coder->taken_step);
    at = put_time(at, (uint64_t)last->unix_ms, (uint64_t)moment->unix_ms,
                  &coder->unix_step);
    last->taken_ns = moment->taken_ns;
    last->unix_ms = moment->unix_ms;
    if (other_rows)
        at = put_series(at, coder, moment);
    for (uint32_t i = 0; i < moment->n_rows; i++)
        at = put_row(at, &last->rows[i], &moment->rows[i]);
    return (size_t)(at - ret);
}

size_t past_decode(struct past_coder *coder, const uint8_t *bytes)
{
    struct past_moment *last = &coder->last;
    const uint8_t *at = bytes;
    bool other_rows = *at++ & OTHER_ROWS;

    at = get_time(at, &coder->taken_step);
    at = get_time(at, &coder->unix_step);
    last->taken_ns += coder->taken_step;
    last->unix_ms = (int64_t)((uint64_t)last->unix_ms + coder->unix_step);
    if (other_rows)
        at = get_series(at, coder);
    for (uint32_t i = 0; i < last->n_rows; i++)
        at = get_row(at, &last->rows[i]);
    return (size_t)(at - bytes);
}
