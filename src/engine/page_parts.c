// SPDX-License-Identifier: Apache-2.0
#include "engine/page_parts.h"

#include "base/number.h"
#include "base/text.h"
#include "wire/prom.h"

#include <math.h>

const char SERIES_TOO_MANY[] = "more engines, or longer labels of theirs, than can be";

/* Keep it if it matters. -EBADMSG: it was there already. */
static int note_label(const struct prom_label *label, const struct label_place *places,
                      size_t n, void *ret)
{
    for (size_t i = 0; i < n; i++) {
        struct span *place = (void *)((char *)ret + places[i].at);

        if (!span_is(label->name, places[i].name))
            continue;
        if (place->at)
            return -EBADMSG;
        *place = label->value;
    }
    return 0;
}

int labels_read(struct span text, const struct label_place *places, size_t n, void *ret)
{
    struct prom_label label;
    int r;

    do {
        r = prom_next_label(&text, &label);
        if (r > 0 && note_label(&label, places, n, ret) < 0)
            r = -EBADMSG;
    } while (r > 0);
    return r;
}

void model_name_note(struct model_name_note *note, struct span escaped)
{
    char name[4 * ENGINE_NAME_MAX], clean[ENGINE_NAME_MAX + 1];
    int n;

    escaped.len = MIN(escaped.len, sizeof(name) - 1); // more than is kept of it anyway
    n = prom_unescape(escaped, name, sizeof(name));
    if (n < 0)
        return; // cannot be: there is room
    (void)text_clean(clean, sizeof(clean), (struct span){name, (size_t)n});
    if (!note->name[0])
        memcpy(note->name, clean, sizeof(clean));
    else if (strcmp(note->name, clean) != 0)
        note->several = true;
}

struct series *series_of(struct series_set *set, struct span label)
{
    struct series *series;

    if (label.len >= SERIES_LABEL_MAX)
        return NULL;
    for (uint32_t i = 0; i < set->n; i++)
        if (span_is(label, set->at[i].label))
            return &set->at[i];
    if (set->n == ENGINE_SERIES_MAX)
        return NULL;
    series = &set->at[set->n++];
    *series = (struct series){0};
    if (label.len)
        memcpy(series->label, label.at, label.len);
    for (size_t i = 0; i < SERIES_FIGURES_MAX; i++)
        series->figure[i] = (double)NAN;
    return series;
}

void series_set_largest(struct series *series, unsigned figure, double value)
{
    double before = series->figure[figure];

    series->given = (uint16_t)(series->given | (1U << figure));
    if (isnan(before) || value > before)
        series->figure[figure] = value;
}

double series_sum(const struct series_set *set, unsigned figure)
{
    double sum = 0;

    for (uint32_t i = 0; i < set->n; i++) {
        double value = set->at[i].figure[figure];

        sum += value >= 0 ? value : (double)NAN;
    }
    return sum;
}

double series_sum_given(const struct series_set *set, unsigned figure)
{
    double sum = (double)NAN;

    for (uint32_t i = 0; i < set->n; i++) {
        double value = set->at[i].figure[figure];

        if (set->at[i].given & (1U << figure))
            sum = (isnan(sum) ? 0 : sum) + (value >= 0 ? value : (double)NAN);
    }
    return sum;
}

int plain_sample(struct plain_page *page, const struct plain_labels *names,
                 unsigned figure, struct span text, double value, const char **ret_why)
{
    struct {
        struct span model, series;
    } labels = {0};
    const struct label_place places[] = {
        {names->model ? names->model : "", offsetof(__typeof__(labels), model)},
        {names->series ? names->series : "", offsetof(__typeof__(labels), series)},
    };
    struct series *series;

    *ret_why = "malformed labels";
    if (labels_read(text, places, ARRAY_LEN(places), &labels) < 0)
        return -EBADMSG;
    if (labels.model.at)
        model_name_note(&page->model, labels.model);
    series = series_of(&page->series, labels.series);
    if (!series) {
        *ret_why = SERIES_TOO_MANY;
        return -E2BIG;
    }
    series_set_largest(series, figure, value);
    return 0;
}

void plain_take_name(struct plain_page *page, struct span text)
{
    if (text.at && text.len && !page->model.name[0])
        model_name_note(&page->model, text);
}

void plain_finish(const struct plain_page *page, struct engine_page *ret)
{
    engine_page_clear(ret);
    memcpy(ret->served_name, page->model.name, sizeof(page->model.name));
    ret->engines = MAX(page->series.n, 1U);
}

void page_set_blocks(struct engine_page *ret, double used, double blocks)
{
    if (!(used >= 0 && used <= blocks && blocks >= 1 && blocks <= BLOCKS_MAX))
        return;
    ret->kv_usage_ratio = used / blocks;
    ret->kv_used_blocks = (uint64_t)used;
    ret->kv_blocks = (uint64_t)blocks;
}

uint64_t count_of(double value, uint64_t max)
{
    return value >= 0 && value <= (double)max ? (uint64_t)value : UNKNOWN;
}

double ratio_of(double value)
{
    return value >= 0 && value <= 1 ? value : (double)NAN;
}

struct hit_counts hits_of(double hits, double queries)
{
    if (hits >= 0 && hits <= queries && queries <= TOKENS_MAX)
        return (struct hit_counts){hits, queries};
    return (struct hit_counts){(double)NAN, (double)NAN};
}

uint64_t count_in(struct span text, uint64_t max)
{
    uint64_t value;

    return text.at && number_read_u64(text, max, &value) == 0 ? value : UNKNOWN;
}
