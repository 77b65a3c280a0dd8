// SPDX-License-Identifier: Apache-2.0
#include "gpu/drm.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/text.h"

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

bool pci_read(struct span text, struct pci_address *ret)
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
static void read_address(struct drm_card *card)
{
    static const char key[] = "PCI_SLOT_NAME=";
    char text[DRM_UEVENT_MAX];
    struct span rest, line;

    card->pci = (struct pci_address){UINT32_MAX, UINT32_MAX};
    if (small_file_read(card->fd, "uevent", text, sizeof(text), &rest) < 0)
        return;
    while (take_until(&rest, '\n', &line)) {
        if (line.len < sizeof(key) || strncmp(line.at, key, sizeof(key) - 1) != 0)
            continue;
        line = (struct span){line.at + sizeof(key) - 1, line.len - sizeof(key) + 1};
        if (pci_read(line, &card->pci))
            (void)text_clean(card->uuid, sizeof(card->uuid), line);
        return;
    }
}

static void read_render_minor(struct drm_card *card)
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

static int identify(const struct drm_vendor *vendor, int drm_fd, uint32_t index,
                    struct drm_card *ret)
{
    struct drm_card card = {.index = index, .node_fd = -1};
    OWNED(close_fd) int fd = -1;
    char path[32];
    int r;

    (void)snprintf(path, sizeof(path), "card%u/device", index);
    fd = openat(drm_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC); // both are links
    if (fd < 0 || !file_is(fd, "vendor", vendor->pci_vendor))
        return -ENODEV;

    card.fd = fd;
    read_address(&card);
    read_render_minor(&card);
    r = vendor->identify(&card);
    if (r < 0)
        return r;
    *ret = card;
    fd = -1;
    return 0;
}

static void add_card(struct drm_cards *cards, const struct drm_card *card)
{
    uint32_t i = cards->n;

    for (; i > 0 && cards->cards[i - 1].index > card->index; i--)
        cards->cards[i] = cards->cards[i - 1];
    cards->cards[i] = *card;
    cards->n++;
}

static bool has_index(const struct drm_cards *cards, uint32_t index)
{
    for (uint32_t i = 0; i < cards->n; i++)
        if (cards->cards[i].index == index)
            return true;
    return false;
}

static void close_card(struct drm_card *card)
{
    close_fd(&card->fd);
    close_fd(&card->node_fd);
}

/* Again under another number: it is not lost. */
static bool has_uuid(const struct drm_cards *cards, const char *uuid)
{
    for (uint32_t i = 0; i < cards->n; i++)
        if (strcmp(cards->cards[i].uuid, uuid) == 0)
            return true;
    return false;
}

static void keep_lost(const struct drm_cards *before, struct drm_cards *now)
{
    for (uint32_t i = 0; i < before->n; i++) {
        struct drm_card card = before->cards[i];

        if (card.fd < 0 || card.without_memory || now->n == ARRAY_LEN(now->cards) ||
            has_index(now, card.index) || has_uuid(now, card.uuid))
            continue;
        card.fd = card.node_fd = -1;
        card.error = -ENODEV;
        add_card(now, &card);
    }
}

void drm_forget_cards(struct drm_cards *cards)
{
    for (uint32_t i = 0; i < cards->n; i++)
        close_card(&cards->cards[i]);
    cards->n = 0;
}

int drm_list_cards(const struct drm_vendor *vendor, int sys_fd, struct drm_cards *cards,
                   struct drm_cards *now)
{
    struct folder folder;
    struct drm_card card;
    const char *name;
    uint32_t index;
    int r = folder_open(sys_fd, "class/drm", &folder);

    now->n = 0;
    now->cut = false;
    while (r == 0 && (name = folder_next(&folder))) {
        if (!name_read(name, "card", &index) ||
            identify(vendor, folder.fd, index, &card) < 0)
            continue;
        if (now->n < ARRAY_LEN(now->cards)) {
            add_card(now, &card);
        } else {
            close_card(&card);
            now->cut = true;
        }
    }
    if (r == 0)
        r = folder.error;
    folder_done(&folder);
    if (r < 0 && r != -ENOENT) {
        drm_forget_cards(now); // what was known stays
        return r;
    }

    keep_lost(cards, now);
    drm_forget_cards(cards);
    *cards = *now;
    return r;
}

static bool is_gpu(const struct drm_vendor *vendor, int dir_fd)
{
    char text[64];
    struct span class;

    if (!file_is(dir_fd, "vendor", vendor->pci_vendor) ||
        small_file_read(dir_fd, "class", text, sizeof(text), &class) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(vendor->classes) && vendor->classes[i]; i++) {
        size_t len = strlen(vendor->classes[i]);

        if (class.len > len && strncmp(class.at, vendor->classes[i], len) == 0)
            return true;
    }
    return false;
}

static bool has_address(const struct drm_cards *cards, const char *address)
{
    for (uint32_t i = 0; i < cards->n; i++) {
        const struct pci_address *pci = &cards->cards[i].pci;
        struct pci_address other;

        if (pci_read(span_of(address), &other) && pci->domain == other.domain &&
            pci->location == other.location)
            return true;
    }
    return false;
}

bool drm_find_gpu(const struct drm_vendor *vendor, int sys_fd,
                  const struct drm_cards *cards, char *address, size_t room)
{
    struct folder folder;
    const char *name;
    bool found = false;

    if (folder_open(sys_fd, "bus/pci/devices", &folder) < 0)
        return false;
    while (!found && (name = folder_next(&folder))) {
        OWNED(close_fd)
        int fd = openat(folder.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC); // a link

        found = fd >= 0 && is_gpu(vendor, fd) && !has_address(cards, name) &&
                (!vendor->integrated || strcmp(name, vendor->integrated) != 0);
        if (found)
            (void)text_clean(address, room, span_of(name));
    }
    folder_done(&folder);
    return found;
}
