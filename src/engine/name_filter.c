// SPDX-License-Identifier: Apache-2.0
#include "engine/name_filter.h"

enum {
    URL_MAX = 8 * 1024,
    WHOLE_AGAIN_AFTER = 120, // filtered pages
};

void name_filter_init(struct name_filter *filter)
{
    *filter = (struct name_filter){.state = NAME_FILTER_UNTRIED};
    buf_init(&filter->url, URL_MAX);
}

void name_filter_done(struct name_filter *filter)
{
    buf_done(&filter->url);
}

bool name_filter_is_due(const struct name_filter *filter)
{
    return filter->state == NAME_FILTER_TRYING ||
           (filter->state == NAME_FILTER_WORKS && filter->pages < WHOLE_AGAIN_AFTER);
}

/* base + filter path + name[]=... for each name of the whole page. */
static int write_url(struct name_filter *filter, const struct engine_kind *kind,
                     const char *base)
{
    const struct engine_names *names = &kind->names[ENGINE_PART_PAGE];
    struct buf *url = &filter->url;
    char separator = '?';

    buf_clear(url);
    buf_add_str(url, base);
    buf_add_str(url, kind->filter_path);
    for (size_t i = 0; i < names->n; i++) {
        if (!(filter->whole & 1ULL << i))
            continue;
        buf_add_char(url, separator);
        buf_add_str(url, "name%5B%5D=");
        buf_add_str(url, names->at[i]);
        separator = '&';
    }
    buf_add_char(url, '\0');
    return url->error;
}

void name_filter_take_whole(struct name_filter *filter, const struct engine_kind *kind,
                            const char *base, uint64_t seen)
{
    filter->whole = seen;
    filter->pages = 0;
    if (filter->state != NAME_FILTER_USELESS && kind->filter_path &&
        write_url(filter, kind, base) == 0 && filter->state != NAME_FILTER_WORKS)
        filter->state = NAME_FILTER_TRYING;
}

bool name_filter_lacks(const struct name_filter *filter, uint64_t seen)
{
    return filter->whole & ~seen;
}

void name_filter_take(struct name_filter *filter)
{
    filter->state = NAME_FILTER_WORKS;
    filter->pages++;
}

void name_filter_fail(struct name_filter *filter)
{
    filter->state =
        filter->state == NAME_FILTER_TRYING ? NAME_FILTER_USELESS : NAME_FILTER_UNTRIED;
}
