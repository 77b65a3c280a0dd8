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

static inline double value_port(const struct vramscope_model *model)
{
    return value_of(model->port);
}

static inline double value_vram(const struct vramscope_model *model)
{
    return value_of(model->allocated.value);
}

static inline double value_kv_used(const struct vramscope_model *model)
{
    return value_of(model->kv_used.value);
}

static inline double value_kv_capacity(const struct vramscope_model *model)
{
    return value_of(model->kv_capacity.value);
}

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

static inline double value_running(const struct vramscope_model *model)
{
    return value_of(model->requests_running);
}

static inline double value_waiting(const struct vramscope_model *model)
{
    return value_of(model->requests_waiting);
}

static inline double value_preempted(const struct vramscope_model *model)
{
    return value_of(model->requests_preemptions);
}

static inline double value_age_ms(const struct vramscope_model *model)
{
    return value_of(model->age_ms);
}

/* Of a gateway's row. */
static inline double value_nodes(const struct vramscope_model *model)
{
    return value_of(model->nodes);
}

/* Strings that a daemon may leave out; "" then. */
static inline const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

#endif
