// SPDX-License-Identifier: Apache-2.0
#include "tui/filter.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "base/number.h"
#include "base/text.h"
#include "tui/node_value.h"

enum kind { TEXT, NUMBERS, BYTES, PERCENT, COUNT, TIME };

enum { TEXTS_MAX = 4 };

/* What a model, on its host, has in a field of texts; NULL where it is not known. */
struct texts {
    const char *at[TEXTS_MAX];
};

typedef struct texts texts_fn(const char *host, const struct vramscope_model *model);
typedef double value_fn(const struct vramscope_model *model);
typedef struct texts node_texts_fn(const char *host, const struct vramscope_node *node);
typedef double node_value_fn(const struct vramscope_node *node);

static struct texts host_texts(const char *host, const struct vramscope_model *model)
{
    (void)model;
    return (struct texts){{host}};
}

static struct texts model_texts(const char *host, const struct vramscope_model *model)
{
    (void)host;
    return (struct texts){{model->model, model->model_id}};
}

static struct texts state_texts(const char *host, const struct vramscope_model *model)
{
    (void)host;
    return (struct texts){{model->state, model->stale ? "stale" : NULL}};
}

static struct texts any_texts(const char *host, const struct vramscope_model *model)
{
    return (struct texts){{host, model->model, model->model_id, model->state}};
}

/* The same of a node of a gateway. */
static struct texts node_gateway_texts(const char *host,
                                       const struct vramscope_node *node)
{
    (void)node;
    return (struct texts){{host}};
}

static struct texts node_name_texts(const char *host, const struct vramscope_node *node)
{
    (void)host;
    return (struct texts){{node->node}};
}

static struct texts node_state_texts(const char *host, const struct vramscope_node *node)
{
    (void)host;
    return (struct texts){{node->state, node->name_taken ? "name taken" : NULL}};
}

static struct texts node_version_texts(const char *host,
                                       const struct vramscope_node *node)
{
    (void)host;
    return (struct texts){{node->version}};
}

static struct texts node_any_texts(const char *host, const struct vramscope_node *node)
{
    return (struct texts){
        {host, node->node, node->state, node->name_taken ? "name taken" : NULL}};
}

enum { FIELD_VRAM = 5, FIELD_KV, FIELD_KV_PERCENT, FIELD_VRAM_PERCENT = 14 };

/* What it is of a model and of a node; neither: not known. */
static const struct field {
    const char *name;
    enum kind kind;
    texts_fn *texts;
    value_fn *value;
    node_texts_fn *node_texts;
    node_value_fn *node_value;
} fields[] = {
    // clang-format off
    {"host",    TEXT,    host_texts,  NULL,          node_gateway_texts, NULL},
    {"model",   TEXT,    model_texts, NULL,          NULL, NULL},
    {"port",    COUNT,   NULL, value_port,           NULL, NULL},
    {"gpu",     NUMBERS, NULL, NULL,                 NULL, NULL}, // of its devices
    {"state",   TEXT,    state_texts, NULL,          node_state_texts,   NULL},
    [FIELD_VRAM] =
    {"vram",    BYTES,   NULL, value_vram,           NULL, node_value_vram},
    [FIELD_KV] =
    {"kv",      BYTES,   NULL, value_kv_used,        NULL, node_value_kv_used},
    [FIELD_KV_PERCENT] =
    {"kv%",     PERCENT, NULL, value_kv_percent,     NULL, node_value_kv_percent},
    {"hit",     PERCENT, NULL, value_hit_percent,    NULL, node_value_hit_percent},
    {"run",     COUNT,   NULL, value_running,        NULL, node_value_running},
    {"wait",    COUNT,   NULL, value_waiting,        NULL, node_value_waiting},
    {"preempt", COUNT,   NULL, value_preempted,      NULL, NULL},
    {"age",     TIME,    NULL, value_age_ms,         NULL, node_value_age_ms},
    {"node",    TEXT,    NULL,        NULL,          node_name_texts,    NULL},
    [FIELD_VRAM_PERCENT] =
    {"vram%",   PERCENT, NULL, NULL,                 NULL, node_value_vram_percent},
    {"nodes",   COUNT,   NULL, value_nodes,          NULL, node_value_nodes},
    {"gpus",    COUNT,   NULL, NULL,                 NULL, node_value_gpus},
    {"models",  COUNT,   NULL, NULL,                 NULL, node_value_models},
    {"version", TEXT,    NULL, NULL,                 node_version_texts, NULL},
    // clang-format on
};

static const struct unit {
    enum kind kind;
    const char *name;
    double factor;
} units[] = {
    // clang-format off
    {BYTES, "", 1 << 30},    {BYTES, "B", 1},
    {BYTES, "K", 1 << 10},   {BYTES, "KiB", 1 << 10},
    {BYTES, "M", 1 << 20},   {BYTES, "MiB", 1 << 20},
    {BYTES, "G", 1 << 30},   {BYTES, "GiB", 1 << 30},
    {BYTES, "T", 0x1p40},    {BYTES, "TiB", 0x1p40},
    {BYTES, "KB", 1e3},      {BYTES, "MB", 1e6},
    {BYTES, "GB", 1e9},      {BYTES, "TB", 1e12},
    {PERCENT, "", 1},        {PERCENT, "%", 1},
    {COUNT, "", 1},          {NUMBERS, "", 1},
    {TIME, "", 1000},        {TIME, "s", 1000},
    {TIME, "ms", 1},         {TIME, "m", 60 * 1000},
    {TIME, "min", 60 * 1000}, {TIME, "h", 3600 * 1000},
    // clang-format on
};

/* An equal number is one that is shown as the same: so much off is allowed. */
static const double equal_within[] = {
    [BYTES] = 0.05 * (1 << 30),
    [PERCENT] = 0.05,
    [TIME] = 500,
    [COUNT] = 0,
    [NUMBERS] = 0,
};

/* Longer ones first. */
static const struct {
    const char *sign;
    enum filter_operator how;
} operators[] = {
    {"!=", OP_NOT_EQUAL}, {">=", OP_AT_LEAST}, {"<=", OP_AT_MOST},
    {"==", OP_EQUAL},     {"~=", OP_CONTAINS}, {"=", OP_EQUAL},
    {"~", OP_CONTAINS},   {">", OP_MORE},      {"<", OP_LESS},
};

static struct span after(struct span text, size_t len)
{
    return text_trim((struct span){text.at + len, text.len - len});
}

static PRINTF_LIKE(3, 4) int fault(char *why, size_t room, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(why, room, format, args);
    va_end(args);
    return -EINVAL;
}

/* At most so much of a word is said again in a fault. */
#define WORD(span) (int)MIN((span).len, (size_t)24), (span).at

static int find_field(struct span name, char *why, size_t room)
{
    size_t len;

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (strlen(fields[i].name) == name.len &&
            strncasecmp(fields[i].name, name.at, name.len) == 0)
            return (int)i;
    (void)fault(why, room, "%.*s: no such field; fields are", WORD(name));
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        len = strlen(why);
        if (len + 1 < room)
            (void)snprintf(why + len, room - len, "%s%s", i ? ", " : " ", fields[i].name);
    }
    return -EINVAL;
}

/* -1: the text has no operator. */
static int find_operator(struct span text, size_t *ret_at)
{
    size_t at = 0;

    while (at < text.len && !memchr("=!~<>", text.at[at], 5))
        at++;
    if (at == text.len)
        return -1;
    *ret_at = at;
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        size_t len = strlen(operators[i].sign);

        if (text.len - at >= len && memcmp(text.at + at, operators[i].sign, len) == 0)
            return (int)i;
    }
    return ARRAY_LEN(operators);
}

static const struct unit *find_unit(enum kind kind, struct span name)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (units[i].kind == kind && strlen(units[i].name) == name.len &&
            strncasecmp(units[i].name, name.at, name.len) == 0)
            return &units[i];
    return NULL;
}

/*
 * A number and its unit. KV without a unit of bytes is percent, as everybody means it; VRAM
 * with a percent sign is, too.
 */
static int parse_number(struct span text, struct filter_condition *ret, char *why,
                        size_t room)
{
    const struct unit *unit;
    struct span digits = {text.at, 0}, unit_name;

    while (digits.len < text.len && memchr("0123456789.", text.at[digits.len], 11))
        digits.len++;
    unit_name = after(text, digits.len);
    if (number_read(digits, &ret->number) < 0)
        return fault(why, room, "%.*s: not a number, which %s is compared with",
                     WORD(text), fields[ret->field].name);
    if (ret->field == FIELD_KV && find_unit(PERCENT, unit_name))
        ret->field = FIELD_KV_PERCENT;
    else if (ret->field == FIELD_VRAM && span_is(unit_name, "%"))
        ret->field = FIELD_VRAM_PERCENT;
    unit = find_unit(fields[ret->field].kind, unit_name);
    if (!unit)
        return fault(why, room, "%.*s: not a unit of %s", WORD(unit_name),
                     fields[ret->field].name);
    ret->number *= unit->factor;
    return 0;
}

static int parse_value(struct span text, struct filter_condition *ret, char *why,
                       size_t room)
{
    const struct field *field = &fields[ret->field];
    bool orders =
        ret->how != OP_EQUAL && ret->how != OP_NOT_EQUAL && ret->how != OP_CONTAINS;

    if (!text.len)
        return fault(why, room, "%s: compared with what?", field->name);
    if (field->kind != TEXT && ret->how == OP_CONTAINS)
        return fault(why, room, "%s is a number: it takes = != > >= < <=", field->name);
    if (field->kind != TEXT)
        return parse_number(text, ret, why, room);
    if (orders)
        return fault(why, room, "%s is a text: it takes = != ~", field->name);
    memcpy(ret->text, text.at, text.len);
    ret->text[text.len] = '\0';
    return 0;
}

static int parse_condition(struct span text, struct filter_condition *ret, char *why,
                           size_t room)
{
    int found;
    size_t at;

    if (text.len >= FILTER_TEXT_SIZE)
        return fault(why, room, "%.*s...: longer than %d bytes", WORD(text),
                     FILTER_TEXT_SIZE - 1);
    found = find_operator(text, &at);
    if (found < 0) {
        ret->field = -1;
        ret->how = OP_CONTAINS;
        memcpy(ret->text, text.at, text.len);
        ret->text[text.len] = '\0';
        return 0;
    }
    if (found == ARRAY_LEN(operators))
        return fault(why, room, "!: the operator is !=");
    ret->how = operators[found].how;
    ret->field = find_field(text_trim((struct span){text.at, at}), why, room);
    if (ret->field < 0)
        return -EINVAL;
    return parse_value(after(text, at + strlen(operators[found].sign)), ret, why, room);
}

int filter_parse(struct span text, struct filter *ret, char *why, size_t room)
{
    struct filter filter = {0};

    while (text.len) {
        const char *end = memchr(text.at, '&', text.len);
        size_t len = end ? (size_t)(end - text.at) : text.len;
        struct span word = text_trim((struct span){text.at, len});
        int r;

        text = after(text, end ? len + 1 : len);
        if (!word.len)
            continue;
        if (filter.n == FILTER_CONDITIONS_MAX)
            return fault(why, room, "more than %d conditions", FILTER_CONDITIONS_MAX);
        r = parse_condition(word, &filter.conditions[filter.n], why, room);
        if (r < 0)
            return r;
        filter.n++;
    }
    *ret = filter;
    return 0;
}

static bool texts_pass(const struct filter_condition *condition, struct texts texts)
{
    bool known = false, equal = false, contained = false;

    for (size_t i = 0; i < TEXTS_MAX; i++) {
        if (!texts.at[i])
            continue;
        known = true;
        equal |= strcasecmp(texts.at[i], condition->text) == 0;
        contained |= strcasestr(texts.at[i], condition->text) != NULL;
    }
    if (condition->how == OP_NOT_EQUAL)
        return known && !equal;
    return condition->how == OP_EQUAL ? equal : contained;
}

static bool number_passes(const struct filter_condition *condition, double value)
{
    double wanted = condition->number;
    bool equal = fabs(value - wanted) <= equal_within[fields[condition->field].kind];

    if (isnan(value))
        return false;
    switch (condition->how) {
    case OP_EQUAL:
        return equal;
    case OP_NOT_EQUAL:
        return !equal;
    case OP_MORE:
        return value > wanted;
    case OP_AT_LEAST:
        return value >= wanted;
    case OP_LESS:
        return value < wanted;
    case OP_AT_MOST:
        return value <= wanted;
    case OP_CONTAINS: // never parsed for a number
        return false;
    }
    return false;
}

/* One of them does; `!=` is for all. */
static bool devices_pass(const struct filter_condition *condition,
                         const struct vramscope_model *model)
{
    bool all = condition->how == OP_NOT_EQUAL;

    for (size_t i = 0; i < model->n_devices; i++)
        if (number_passes(condition, value_of(model->devices[i])) != all)
            return !all;
    return all && model->n_devices;
}

static bool condition_passes(const struct filter_condition *condition, const char *host,
                             const struct vramscope_model *model)
{
    const struct field *field;

    if (condition->field < 0)
        return texts_pass(condition, any_texts(host, model));
    field = &fields[condition->field];
    if (field->texts)
        return texts_pass(condition, field->texts(host, model));
    if (field->value)
        return number_passes(condition, field->value(model));
    return field->kind == NUMBERS && devices_pass(condition, model);
}

bool filter_passes(const struct filter *filter, const char *host,
                   const struct vramscope_model *model)
{
    for (size_t i = 0; i < filter->n; i++)
        if (!condition_passes(&filter->conditions[i], host, model))
            return false;
    return true;
}

static bool node_condition_passes(const struct filter_condition *condition,
                                  const char *host, const struct vramscope_node *node)
{
    const struct field *field;

    if (condition->field < 0)
        return texts_pass(condition, node_any_texts(host, node));
    field = &fields[condition->field];
    if (field->node_texts)
        return texts_pass(condition, field->node_texts(host, node));
    return field->node_value && number_passes(condition, field->node_value(node));
}

bool filter_passes_node(const struct filter *filter, const char *host,
                        const struct vramscope_node *node)
{
    for (size_t i = 0; i < filter->n; i++)
        if (!node_condition_passes(&filter->conditions[i], host, node))
            return false;
    return true;
}
