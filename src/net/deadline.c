// SPDX-License-Identifier: Apache-2.0
#include "net/deadline.h"

void deadline_clear(struct deadline *deadline)
{
    struct deadline_list *list = deadline->list;

    if (!list)
        return;
    if (deadline->prev)
        deadline->prev->next = deadline->next;
    else
        list->first = deadline->next;
    if (deadline->next)
        deadline->next->prev = deadline->prev;
    else
        list->last = deadline->prev;
    *deadline = (struct deadline){0};
}

void deadline_set(struct deadline *deadline, struct deadline_list *list, uint64_t now_ms)
{
    deadline_clear(deadline);
    deadline->at_ms = now_ms + list->span_ms;
    deadline->list = list;
    deadline->prev = list->last;
    if (list->last)
        list->last->next = deadline;
    else
        list->first = deadline;
    list->last = deadline;
}

struct deadline *deadline_due(struct deadline_list *list, uint64_t now_ms)
{
    return list->first && list->first->at_ms <= now_ms ? list->first : NULL;
}
