// SPDX-License-Identifier: Apache-2.0
/*
 * model_value.h - the figures of a model that rows are sorted and filtered by
 *
 * As double, and NAN what is not known; so are negative numbers, of which none of these
 * can be one.
 */
#ifndef TUI_MODEL_VALUE_H
#define TUI_MODEL_VALUE_H

#include "base/base.h"
#include "vramscope.h"

#include <math.h>

static inline double value_of(int64_t number)
{
    return number < 0 ? (double)NAN : (double)number;
}

#define MODEL_VALUE(name, member)                                  \
    static inline double name(const struct vramscope_model *model) \
    {                                                              \
        return value_of(model->member);                            \
    }
MODEL_VALUE(value_port, port)
MODEL_VALUE(value_vram, allocated.value)
MODEL_VALUE(value_kv_used, kv_used.value)
MODEL_VALUE(value_kv_capacity, kv_capacity.value)
MODEL_VALUE(value_running, requests_running)
MODEL_VALUE(value_waiting, requests_waiting)
MODEL_VALUE(value_preempted, requests_preemptions)
MODEL_VALUE(value_age_ms, age_ms)
MODEL_VALUE(value_nodes, nodes) // of a gateway's row
#undef MODEL_VALUE

/* The engine's own ratio; without one, that of the bytes. */
static inline double value_kv_percent(const struct vramscope_model *model)
{
    if (model->kv_usage_ratio >= 0)
        return 100 * model->kv_usage_ratio;
    if (model->kv_capacity.value <= 0)
        return (double)NAN;
    return 100 * value_kv_used(model) / (double)model->kv_capacity.value;
}

/* Of the last minute. */
static inline double value_hit_percent(const struct vramscope_model *model)
{
    return model->prefix_minute.hit_percent;
}

/* Strings that a daemon may leave out; "" then. */
static inline const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

#endif
