// SPDX-License-Identifier: Apache-2.0
#include "history/ring.h"

#include <math.h>

static double number(uint64_t value)
{
    return value == UNKNOWN ? (double)NAN : (double)value;
}

static uint64_t kv_used(const struct snapshot_model *model)
{
    return model->kv_used_bytes.value;
}

static uint64_t running(const struct snapshot_model *model)
{
    return model->page.requests_running;
}

static uint64_t waiting(const struct snapshot_model *model)
{
    return model->page.requests_waiting;
}

/* Over the models where it is known; of no models it is 0. */
static uint64_t sum_of(const struct snapshot *snapshot,
                       uint64_t (*value_of)(const struct snapshot_model *model))
{
    bool known = snapshot->n_models == 0;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < snapshot->n_models; i++) {
        uint64_t value = value_of(&snapshot->models[i]);

        if (value == UNKNOWN)
            continue;
        known = true;
        sum = add_saturating(sum, value);
    }
    return known ? sum : UNKNOWN;
}

void ring_add(struct ring *ring, const struct snapshot *snapshot)
{
    struct ring_sample *sample = &ring->samples[ring->next];
    double percent = snapshot->hit_percent;

    sample->taken_ns = snapshot->taken_ns;
    sample->figures[RING_ALLOCATED_BYTES] = number(snapshot->allocated_bytes.value);
    sample->figures[RING_KV_USED_BYTES] = number(sum_of(snapshot, kv_used));
    sample->figures[RING_HIT_PERCENT] =
        isnan(percent) ? percent : fmin(fmax(percent, 0), 100);
    sample->figures[RING_REQUESTS_RUNNING] = number(sum_of(snapshot, running));
    sample->figures[RING_REQUESTS_WAITING] = number(sum_of(snapshot, waiting));
    ring->next = (ring->next + 1) % RING_SAMPLES;
    ring->n = MIN(ring->n + 1, (size_t)RING_SAMPLES);
}

void ring_clear(struct ring *ring)
{
    ring->n = 0;
}

/* The one that came `age` samples before the newest. */
static const struct ring_sample *sample_at(const struct ring *ring, size_t age)
{
    return &ring->samples[(ring->next + RING_SAMPLES - 1 - age) % RING_SAMPLES];
}

size_t ring_copy(const struct ring *ring, uint64_t since_ns,
                 struct ring_sample ret[RING_SAMPLES])
{
    size_t n = MIN(ring->n, (size_t)1);

    while (n < ring->n && sample_at(ring, n)->taken_ns > since_ns)
        n++;
    for (size_t i = 0; i < n; i++)
        ret[i] = *sample_at(ring, n - 1 - i);
    return n;
}
