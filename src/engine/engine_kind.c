// SPDX-License-Identifier: Apache-2.0
#include "engine/engine_kind.h"

const struct engine_kind *const engine_kinds[] = {
#define KIND(name) &engine_##name,
#include "engine/kinds.def"
#undef KIND
};

const size_t engine_kinds_n = ARRAY_LEN(engine_kinds);

const struct engine_kind *engine_kind_named(struct span name)
{
    for (size_t i = 0; i < engine_kinds_n; i++)
        if (span_is(name, engine_kinds[i]->name))
            return engine_kinds[i];
    return NULL;
}

const struct engine_kind *engine_kind_owned_by(struct span owner)
{
    for (size_t i = 0; i < engine_kinds_n; i++)
        if (engine_kinds[i]->owner && span_is(owner, engine_kinds[i]->owner))
            return engine_kinds[i];
    return NULL;
}

static bool ends_with(struct span text, const char *end)
{
    size_t len = strlen(end);

    return text.len >= len && memcmp(text.at + text.len - len, end, len) == 0;
}

size_t engine_kind_url_tail(struct span url, const struct engine_kind **ret)
{
    static const char usual[] = "/metrics";

    for (size_t i = 0; i < engine_kinds_n; i++) {
        const char *path = engine_kinds[i]->paths[0];

        if (!path || strcmp(path, usual) == 0 || !ends_with(url, path))
            continue;
        *ret = engine_kinds[i];
        return strlen(path);
    }
    return ends_with(url, usual) ? sizeof(usual) - 1 : 0;
}

unsigned engine_kind_first(const struct engine_kind *kind, enum engine_part part)
{
    size_t first = 0;

    for (unsigned i = 0; i < part; i++)
        first += kind->names[i].n;
    return (unsigned)first;
}
