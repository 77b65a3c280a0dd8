// SPDX-License-Identifier: Apache-2.0
#include "client/event_queue.h"

static char *put_text(char **at, struct span text)
{
    char *put = *at;

    if (!text.at)
        return NULL;
    if (text.len)
        memcpy(put, text.at, text.len);
    put[text.len] = '\0';
    *at += text.len + 1;
    return put;
}

int event_queue_add(struct event_queue *queue, const struct vramscope_event *event,
                    const struct event_texts *texts)
{
    const struct span all[] = {texts->name,   texts->id,   texts->data,
                               texts->reason, texts->code, texts->remedy};
    size_t bytes = sizeof(struct event_entry);
    struct event_entry *entry;
    char *at;

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        bytes += all[i].len + 1;
    entry = malloc(bytes);
    if (!entry)
        return -ENOMEM;
    *entry = (struct event_entry){.event = *event, .bytes = bytes};
    at = entry->texts;
    entry->event.name = put_text(&at, texts->name);
    entry->event.id = put_text(&at, texts->id);
    entry->event.data = put_text(&at, texts->data);
    entry->event.data_len = texts->data.len;
    entry->event.reason = put_text(&at, texts->reason);
    entry->event.code = put_text(&at, texts->code);
    entry->event.remedy = put_text(&at, texts->remedy);

    if (queue->last)
        queue->last->next = entry;
    else
        queue->first = entry;
    queue->last = entry;
    queue->length++;
    queue->bytes += bytes;
    return 0;
}

struct event_entry *event_queue_take(struct event_queue *queue)
{
    struct event_entry *entry = queue->first;

    if (!entry)
        return NULL;
    queue->first = entry->next;
    if (!queue->first)
        queue->last = NULL;
    queue->length--;
    queue->bytes -= entry->bytes;
    return entry;
}

bool event_queue_is_full(const struct event_queue *queue)
{
    return queue->length >= EVENT_QUEUE_LENGTH || queue->bytes >= EVENT_QUEUE_BYTES;
}

void event_queue_done(struct event_queue *queue)
{
    while (queue->first)
        free(event_queue_take(queue));
}
