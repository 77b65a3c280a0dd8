// SPDX-License-Identifier: Apache-2.0
#include "base/suggestion.h"

enum { NAME_MAX_LEN = 40 };

/* How many bytes must be put in, taken out or changed to make one of the other. */
static size_t edit_distance(struct span a, struct span b)
{
    size_t row[NAME_MAX_LEN + 1];

    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t changed = diagonal + (a.at[i - 1] != b.at[j - 1]);
            size_t added = MIN(row[j], row[j - 1]) + 1;

            diagonal = row[j];
            row[j] = MIN(changed, added);
        }
    }
    return row[b.len];
}

void suggestion_consider(struct suggestion *suggestion, const char *candidate)
{
    struct span wanted = suggestion->wanted, name = span_of(candidate);
    size_t distance;

    if (wanted.len > NAME_MAX_LEN || name.len > NAME_MAX_LEN)
        return;
    distance = edit_distance(wanted, name);
    if (distance > MAX(wanted.len, name.len) / 3)
        return;
    if (suggestion->name && distance >= suggestion->distance)
        return;
    suggestion->name = candidate;
    suggestion->distance = distance;
}
