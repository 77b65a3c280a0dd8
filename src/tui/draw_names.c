// SPDX-License-Identifier: Apache-2.0
/*
 * draw_names.c - what hosts and devices are called where there is little room
 */
#include "tui/draw_parts.h"
#include "tui/model_value.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

/* ---- Hosts ---- */

/* Where the name ends and the port begins; a socket's path has none. */
static size_t port_at(const char *name)
{
    const char *colon = name[0] == '/' ? NULL : strrchr(name, ':');

    return colon && !strchr(colon, ']') ? (size_t)(colon - name) : strlen(name);
}

/* The first label of a.b.c:PORT; all of what is an address. */
static size_t label_end(const char *name)
{
    size_t end = port_at(name), dot = strcspn(name, ".");

    return name[0] == '/' || name[0] == '[' || isdigit((unsigned char)name[0]) ||
                   dot == 0 || dot > end
               ? end
               : dot;
}

static bool is_port_common(const struct view *view)
{
    const char *first = view->hosts[0]->name;

    for (size_t i = 1; i < view->n_hosts; i++) {
        const char *name = view->hosts[i]->name;

        if (strcmp(name + port_at(name), first + port_at(first)) != 0)
            return false;
    }
    return true;
}

/* Of gpu1.a.example and gpu1.b.example the first label alone says nothing. */
static bool is_label_unique(const struct view *view, const char *name)
{
    size_t label = label_end(name), whole = port_at(name);

    for (size_t i = 0; i < view->n_hosts; i++) {
        const char *other = view->hosts[i]->name;

        if (label_end(other) == label && memcmp(other, name, label) == 0 &&
            (port_at(other) != whole || memcmp(other, name, whole) != 0))
            return false;
    }
    return true;
}

void host_label(char ret[HOST_NAME_SIZE], const struct view *view,
                const struct host *host)
{
    const char *name = host->name;
    size_t port = port_at(name);
    size_t end = is_label_unique(view, name) ? label_end(name) : port;

    snprintf(ret, HOST_NAME_SIZE, "%.*s%s", (int)end, name,
             is_port_common(view) ? "" : name + port);
}

int host_label_width(const struct view *view, int most)
{
    char label[HOST_NAME_SIZE];
    int width = 4; // HOST

    for (size_t i = 0; i < view->n_hosts; i++) {
        host_label(label, view, view->hosts[i]);
        width = MAX(width, (int)strlen(label));
    }
    return MIN(width, most);
}

/* ---- Devices ---- */

const struct vramscope_device *device_of(const struct vramscope_detail *detail,
                                         int64_t index)
{
    bool exists = detail && index >= 0 && (size_t)index < detail->n_devices;

    return exists ? detail->devices[index] : NULL;
}

/* Drivers number their devices each for itself: with two of them a number is not enough. */
static const char *maker_of(const struct vramscope_detail *detail,
                            const struct vramscope_device *device)
{
    static const char *const makers[][2] = {
        {"nvml", "NV"}, {"amdgpu", "AMD"}, {"xe", "Intel"}};
    const char *backend = text_or_empty(device->backend);
    bool alone = true;

    for (size_t i = 0; i < detail->n_devices; i++)
        alone &= strcmp(text_or_empty(detail->devices[i]->backend), backend) == 0;
    if (alone || !backend[0])
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(makers); i++)
        if (strcmp(backend, makers[i][0]) == 0)
            return makers[i][1];
    return backend;
}

void device_label(char ret[DEVICE_LABEL_SIZE], const struct vramscope_detail *detail,
                  const struct vramscope_device *device)
{
    const char *maker = maker_of(detail, device);

    device_number(ret, detail, device);
    if (maker)
        return;
    memmove(ret + 4, ret, MIN(strlen(ret), (size_t)DEVICE_LABEL_SIZE - 5) + 1);
    memcpy(ret, "GPU ", 4);
}

void device_number(char ret[DEVICE_LABEL_SIZE], const struct vramscope_detail *detail,
                   const struct vramscope_device *device)
{
    const char *maker = maker_of(detail, device);
    int at = snprintf(ret, DEVICE_LABEL_SIZE, "%.*s%s%" PRId64, 16, maker ? maker : "",
                      maker ? " " : "", device->index);

    if (is_known(device->instance))
        snprintf(ret + at, (size_t)(DEVICE_LABEL_SIZE - at), "/%" PRId64,
                 device->instance);
}

/* "80GB" or "80 GiB", which the line says by itself, and better. */
static bool is_size(const char *word)
{
    size_t digits = strspn(word, "0123456789");
    const char *unit = word + digits + strspn(word + digits, " ");
    size_t letters = strcspn(unit, " -");

    return digits > 0 && ((letters == 2 && strncasecmp(unit, "GB", 2) == 0) ||
                          (letters == 3 && strncasecmp(unit, "GiB", 3) == 0));
}

/*
 * Of "NVIDIA A100-SXM4-80GB" that is "A100-SXM4", of an instance its profile: makers and
 * families are what can be missed first.
 */
void device_kind(char ret[DEVICE_KIND_SIZE], const struct vramscope_device *device)
{
    static const char *const first[] = {"NVIDIA ", "AMD ",      "Intel ", "GeForce ",
                                        "Tesla ",  "Instinct ", "Radeon "};
    const char *name = text_or_empty(device->name);
    const char *instance = is_known(device->instance) ? strstr(name, "MIG ") : NULL;
    size_t end;

    if (device->unified || instance) {
        snprintf(ret, DEVICE_KIND_SIZE, "%s", instance ? instance : "host memory");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        if (strncmp(name, first[i], strlen(first[i])) == 0)
            name += strlen(first[i]);
    for (end = 1; name[0] && name[end]; end++)
        if ((name[end - 1] == ' ' || name[end - 1] == '-') && is_size(name + end))
            break;
    if (name[0] && name[end])
        end--;
    snprintf(ret, DEVICE_KIND_SIZE, "%.*s", (int)end, name);
}
