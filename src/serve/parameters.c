// SPDX-License-Identifier: Apache-2.0
#include "serve/parameters.h"

#include "base/number.h"

/* The next of a=1&b=2. False: there is none left. */
static bool take_item(struct span *query, struct span *ret)
{
    const char *end = query->len ? memchr(query->at, '&', query->len) : NULL;
    size_t len = end ? (size_t)(end - query->at) : query->len;

    if (query->len == 0)
        return false;
    *ret = (struct span){query->at, len};
    len += end != NULL;
    *query = (struct span){query->at + len, query->len - len};
    return true;
}

int parameter_find(struct span query, const char *name, struct span *ret)
{
    size_t name_len = strlen(name);
    bool given = false;
    struct span item;

    while (take_item(&query, &item)) {
        if (item.len < name_len || memcmp(item.at, name, name_len) != 0)
            continue;
        if (item.len > name_len && item.at[name_len] != '=')
            continue; // another's name begins with it
        if (given || item.len == name_len)
            return -EINVAL;
        given = true;
        *ret = (struct span){item.at + name_len + 1, item.len - name_len - 1};
    }
    return given;
}

int parameter_read_u64(struct span query, const char *name, uint64_t min, uint64_t max,
                       uint64_t *ret)
{
    struct span text;
    uint64_t value;
    int r = parameter_find(query, name, &text);

    if (r <= 0)
        return r;
    if (number_read_u64(text, max, &value) < 0 || value < min)
        return -EINVAL;
    *ret = value;
    return 0;
}
