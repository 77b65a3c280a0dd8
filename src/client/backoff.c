// SPDX-License-Identifier: Apache-2.0
#include "client/backoff.h"

static int clamp_asked(int ms)
{
    ms = MAX(ms, (int)BACKOFF_FLOOR_MS);
    return MIN(ms, (int)BACKOFF_ASKED_MAX_MS);
}

/* `ms`, and `low` to 25 percent of it more. */
static int spread(int ms, int low, uint32_t random)
{
    int range = BACKOFF_SPREAD_PERCENT - low + 1;
    int percent = 100 + low + (int)(random % (uint32_t)range);

    return MAX(ms / 100 * percent, (int)BACKOFF_FLOOR_MS);
}

int backoff_fail(struct backoff *backoff, int asked_ms, uint32_t random)
{
    int base = clamp_asked(backoff->base_ms);
    int max = MAX(base, (int)BACKOFF_DOUBLED_MAX_MS), wait = base;

    for (unsigned i = 0; i < backoff->failures && wait < max; i++)
        wait *= 2;
    if (backoff->failures < UINT32_MAX)
        backoff->failures++;
    wait = spread(MIN(wait, max), -BACKOFF_SPREAD_PERCENT, random);
    return asked_ms > wait ? clamp_asked(asked_ms) : wait;
}

int backoff_asked(int asked_ms, uint32_t random)
{
    return spread(clamp_asked(asked_ms), 0, random); // never earlier than asked
}
