// SPDX-License-Identifier: Apache-2.0
#include "gpu/amdgpu.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/text.h"

static const char AMD[] = "0x1002";

static bool take_hex(struct span *rest, size_t least, size_t most, uint32_t *ret)
{
    uint32_t value = 0;
    size_t n = 0;

    while (n < rest->len && n < most && isxdigit((unsigned char)rest->at[n])) {
        int c = tolower((unsigned char)rest->at[n++]);

        value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (n < least)
        return false;
    *rest = (struct span){rest->at + n, rest->len - n};
    *ret = value;
    return true;
}

static bool take_char(struct span *rest, char c)
{
    if (rest->len == 0 || rest->at[0] != c)
        return false;
    *rest = (struct span){rest->at + 1, rest->len - 1};
    return true;
}

/* 0000:03:00.0 */
bool amdgpu_read_pci(struct span text, struct pci_address *ret)
{
    uint32_t domain, bus, device, function;

    if (!take_hex(&text, 4, 8, &domain) || !take_char(&text, ':') ||
        !take_hex(&text, 2, 2, &bus) || !take_char(&text, ':') ||
        !take_hex(&text, 2, 2, &device) || !take_char(&text, '.') ||
        !take_hex(&text, 1, 1, &function) || text.len > 0 || device > 31 || function > 7)
        return false;
    *ret = (struct pci_address){domain, bus << 8 | device << 3 | function};
    return true;
}

static bool file_is(int dir_fd, const char *path, const char *text)
{
    char buf[64];
    struct span span;

    return small_file_read(dir_fd, path, buf, sizeof(buf), &span) == 0 &&
           span_is(span, text);
}

/* The address also stands in for a UUID: it stays as long as the card is where it is. */
static void read_address(struct amdgpu_card *card)
{
    static const char key[] = "PCI_SLOT_NAME=";
    char text[AMDGPU_UEVENT_MAX];
    struct span rest, line;

    card->pci = (struct pci_address){UINT32_MAX, UINT32_MAX};
    if (small_file_read(card->fd, "uevent", text, sizeof(text), &rest) < 0)
        return;
    while (take_until(&rest, '\n', &line)) {
        if (line.len < sizeof(key) || strncmp(line.at, key, sizeof(key) - 1) != 0)
            continue;
        line = (struct span){line.at + sizeof(key) - 1, line.len - sizeof(key) + 1};
        if (amdgpu_read_pci(line, &card->pci))
            (void)text_clean(card->uuid, sizeof(card->uuid), line);
        return;
    }
}

/*
 * As ROCm writes it ("GPU-" and 16 hexadecimal digits; ROCR_VISIBLE_DEVICES takes it).
 * The file is missing before Vega, and empty where the firmware gives no number.
 */
static void read_uuid(struct amdgpu_card *card)
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

static void read_name(struct amdgpu_card *card)
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

static void read_render_minor(struct amdgpu_card *card)
{
    struct folder folder;
    const char *name;

    card->render_minor = UINT32_MAX;
    if (folder_open_no_link(card->fd, "drm", &folder) < 0)
        return;
    while ((name = folder_next(&folder)))
        if (name_read(name, "renderD", &card->render_minor))
            break;
    folder_done(&folder);
}

/*
 * -ENODEV: no card of amdgpu's. Another vendor's has another number; one of AMD's that
 * the old radeon driver has lacks the file, and so do the cards that stand for partitions
 * of a device: their memory is the device's.
 */
static int identify(int drm_fd, uint32_t index, struct amdgpu_card *ret)
{
    struct amdgpu_card card = {.index = index};
    OWNED(close_fd) int fd = -1;
    char path[32];

    (void)snprintf(path, sizeof(path), "card%u/device", index);
    fd = openat(drm_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC); // both are links
    if (fd < 0 || !file_is(fd, "vendor", AMD) ||
        faccessat(fd, "mem_info_vram_total", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return -ENODEV;

    card.fd = fd;
    read_address(&card);
    read_uuid(&card);
    read_name(&card);
    read_render_minor(&card);
    *ret = card;
    fd = -1;
    return 0;
}

static void add_card(struct amdgpu_cards *cards, const struct amdgpu_card *card)
{
    uint32_t i = cards->n;

    for (; i > 0 && cards->cards[i - 1].index > card->index; i--)
        cards->cards[i] = cards->cards[i - 1];
    cards->cards[i] = *card;
    cards->n++;
}

static bool has_index(const struct amdgpu_cards *cards, uint32_t index)
{
    for (uint32_t i = 0; i < cards->n; i++)
        if (cards->cards[i].index == index)
            return true;
    return false;
}

/* Again under another number: it is not lost. */
static bool has_uuid(const struct amdgpu_cards *cards, const char *uuid)
{
    for (uint32_t i = 0; i < cards->n; i++)
        if (strcmp(cards->cards[i].uuid, uuid) == 0)
            return true;
    return false;
}

static void keep_lost(const struct amdgpu_cards *before, struct amdgpu_cards *now)
{
    for (uint32_t i = 0; i < before->n; i++) {
        struct amdgpu_card card = before->cards[i];

        if (card.fd < 0 || now->n == ARRAY_LEN(now->cards) ||
            has_index(now, card.index) || has_uuid(now, card.uuid))
            continue;
        card.fd = -1;
        card.error = -ENODEV;
        card.in_kfd = false;
        add_card(now, &card);
    }
}

void amdgpu_forget_cards(struct amdgpu_cards *cards)
{
    for (uint32_t i = 0; i < cards->n; i++)
        close_fd(&cards->cards[i].fd);
    cards->n = 0;
}

int amdgpu_list_cards(int sys_fd, struct amdgpu_cards *cards, struct amdgpu_cards *now)
{
    struct folder folder;
    struct amdgpu_card card;
    const char *name;
    uint32_t index;
    int r = folder_open(sys_fd, "class/drm", &folder);

    now->n = 0;
    now->cut = false;
    while (r == 0 && (name = folder_next(&folder))) {
        if (!name_read(name, "card", &index) || identify(folder.fd, index, &card) < 0)
            continue;
        if (now->n < ARRAY_LEN(now->cards)) {
            add_card(now, &card);
        } else {
            close_fd(&card.fd);
            now->cut = true;
        }
    }
    if (r == 0)
        r = folder.error;
    folder_done(&folder);
    if (r < 0 && r != -ENOENT) {
        amdgpu_forget_cards(now); // what was known stays
        return r;
    }

    keep_lost(cards, now);
    amdgpu_forget_cards(cards);
    *cards = *now;
    return r;
}

/* Classes 0x03 (display) and 0x12 (accelerator); the audio function of a card is 0x04. */
static bool is_gpu(int dir_fd)
{
    char text[64];
    struct span class;

    return file_is(dir_fd, "vendor", AMD) &&
           small_file_read(dir_fd, "class", text, sizeof(text), &class) == 0 &&
           class.len > 4 &&
           (strncmp(class.at, "0x03", 4) == 0 || strncmp(class.at, "0x12", 4) == 0);
}

bool amdgpu_find_pci(int sys_fd, char *address, size_t room)
{
    struct folder folder;
    const char *name;
    bool found = false;

    if (folder_open(sys_fd, "bus/pci/devices", &folder) < 0)
        return false;
    while (!found && (name = folder_next(&folder))) {
        OWNED(close_fd)
        int fd = openat(folder.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC); // a link

        found = fd >= 0 && is_gpu(fd);
        if (found)
            (void)text_clean(address, room, span_of(name));
    }
    folder_done(&folder);
    return found;
}
