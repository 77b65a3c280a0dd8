// SPDX-License-Identifier: Apache-2.0
#include "history/advice_case.h"

struct advisor {
    struct advice_cases all;
    enum event_severity severity; // of what is wanted now
    struct advice *ret;
    size_t n, max;
};

/* What stands in the next place stays there if it is wanted. */
static void keep(struct advisor *to, bool said)
{
    if (said && to->ret[to->n].severity == to->severity)
        to->n++;
}

static struct advice *next_place(struct advisor *to)
{
    return to->n < to->max ? &to->ret[to->n] : NULL;
}

static void advise_model(struct advisor *to, const struct advice_case *it)
{
    if (next_place(to))
        keep(to, advise_grow(&to->all, it, next_place(to)));
    if (next_place(to))
        keep(to, advise_shrink(&to->all, it, next_place(to)));
    if (next_place(to))
        keep(to, advise_hit_rate(it, next_place(to)));
}

static void advise_device(struct advisor *to, uint32_t device)
{
    if (next_place(to))
        keep(to, advise_start(&to->all, device, next_place(to)));
    if (next_place(to))
        keep(to, advise_unified(&to->all, device, next_place(to)));
}

static void advise_all(struct advisor *to, enum event_severity severity)
{
    to->severity = severity;
    for (size_t i = 0; i < to->all.n; i++)
        advise_model(to, &to->all.at[i]);
    for (uint32_t i = 0; i < to->all.snapshot->n_devices; i++)
        advise_device(to, i);
}

size_t advise(const struct observation *observations, size_t n,
              const struct snapshot *snapshot, struct advice *ret, size_t max)
{
    struct advisor to = {.all = {.snapshot = snapshot}, .ret = ret, .max = max};

    for (size_t i = 0; i < n && to.all.n < ARRAY_LEN(to.all.at); i++)
        if (advice_case_open(&observations[i], snapshot, &to.all.at[to.all.n]))
            to.all.n++;
    advise_all(&to, SEVERITY_CRITICAL);
    advise_all(&to, SEVERITY_WARNING);
    advise_all(&to, SEVERITY_INFO);
    return to.n;
}
