// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <stdio.h>

int probe_new(struct probe *probe, size_t readers, size_t ticks)
{
    *probe = (struct probe){.room = readers * ticks};
    probe->age_us = calloc(probe->room, sizeof(*probe->age_us));
    probe->last = calloc(readers, sizeof(*probe->last));
    return probe->age_us && probe->last ? 0 : -ENOMEM;
}

/* The number behind `key`, from the first of `after` on; 0: there is none. */
static uint64_t find(struct span text, const char *after, const char *key)
{
    const char *at = memmem(text.at, text.len, after, strlen(after));
    const char *end = text.at + text.len;
    uint64_t value = 0;

    if (at)
        at = memmem(at, (size_t)(end - at), key, strlen(key));
    if (!at)
        return 0;
    for (at += strlen(key); at < end && *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    return value;
}

static uint64_t value_of(struct span event)
{
    uint64_t value = find(event, "\"model_id\":\"probe\"", "\"used_kv_cache_bytes\":");

    if (value)
        return value; // else it is of /v1/detail
    return find(event, "\"model_id\":\"probe\"",
                "\"kv_cache\":{\"used_bytes\":{\"value\":");
}

void probe_take(struct probe *probe, size_t reader, struct span event, uint64_t now_us)
{
    uint64_t value = value_of(event);

    if (!value || value > now_us) {
        probe->missing++;
        return;
    }
    probe->repeated += value == probe->last[reader];
    probe->backward += value < probe->last[reader];
    probe->last[reader] = value;
    if (probe->n < probe->room)
        probe->age_us[probe->n++] = (uint32_t)MIN(now_us - value, (uint64_t)UINT32_MAX);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

void probe_print(struct probe *probe)
{
    size_t n = probe->n;
    uint32_t *age = probe->age_us;

    qsort(age, n, sizeof(*age), compare);
    (void)printf(",\"probe_age_us\":{\"min\":%u,\"p50\":%u,\"p99\":%u,\"max\":%u}",
                 n ? age[0] : 0, n ? age[n / 2] : 0, n ? age[n * 99 / 100] : 0,
                 n ? age[n - 1] : 0);
    (void)printf(
        ",\"probe_missing\":%llu,\"probe_repeated\":%llu,\"probe_backward\":%llu",
        (unsigned long long)probe->missing, (unsigned long long)probe->repeated,
        (unsigned long long)probe->backward);
}
