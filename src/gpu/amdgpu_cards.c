// SPDX-License-Identifier: Apache-2.0
#include "gpu/amdgpu.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/text.h"

/*
 * As ROCm writes it ("GPU-" and 16 hexadecimal digits; ROCR_VISIBLE_DEVICES takes it).
 * The file is missing before Vega, and empty where the firmware gives no number.
 */
static void read_uuid(struct drm_card *card)
{
    char text[64];
    struct span id;
    size_t digits = 0, zeros = 0;

    if (small_file_read(card->fd, "unique_id", text, sizeof(text), &id) < 0)
        return;
    for (; digits < id.len && isxdigit((unsigned char)id.at[digits]); digits++)
        zeros += id.at[digits] == '0';
    if (id.len != 16 || digits != id.len || zeros == digits)
        return;
    (void)snprintf(card->uuid, sizeof(card->uuid), "GPU-%.16s", id.at);
}

static void read_name(struct drm_card *card)
{
    char text[128], id[32] = "";
    struct span span;

    if (small_file_read(card->fd, "product_name", text, sizeof(text), &span) == 0 &&
        span.len > 0 &&
        text_clean(card->name, sizeof(card->name), span) > 0) // of server cards only
        return;
    if (small_file_read(card->fd, "device", text, sizeof(text), &span) == 0)
        (void)text_clean(id, sizeof(id), span);
    (void)snprintf(card->name, sizeof(card->name), "AMD GPU%s%s", id[0] ? " " : "", id);
}

/*
 * Another vendor's card has another number; one of AMD's that the old radeon driver has
 * lacks the file, and so do the cards that stand for partitions of a device: their memory
 * is the device's.
 */
int amdgpu_identify(struct drm_card *card)
{
    if (faccessat(card->fd, "mem_info_vram_total", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return -ENODEV;
    read_uuid(card);
    read_name(card);
    return 0;
}
