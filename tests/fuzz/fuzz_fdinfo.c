// SPDX-License-Identifier: Apache-2.0
/* A line that means nothing changes nothing; no memory is told without one that does. */
#include "gpu/amdgpu.h"
#include "gpu/intel.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_as(const struct drm_vendor *vendor, const char *region, const char *text,
                    size_t len, size_t nothing)
{
    struct drm_fdinfo info =
        drm_read_fdinfo((struct span){text + nothing, len - nothing}, vendor);
    struct drm_fdinfo again = drm_read_fdinfo((struct span){text, len}, vendor);

    assert(info.is_ours == again.is_ours && info.has_client == again.has_client);
    assert(info.has_pci == again.has_pci && info.vram_bytes == again.vram_bytes);
    assert(info.vram_bytes == UNKNOWN || memmem(text, len, region, strlen(region)));
    assert(info.is_ours || info.vram_bytes == UNKNOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char nothing[] = "drm-memory-gtt:\t7 KiB\n";
    size_t before = sizeof(nothing) - 1;
    char *longer = malloc(sizeof(nothing) + size);

    if (!longer)
        abort();
    memcpy(longer, nothing, before);
    if (size > 0)
        memcpy(longer + before, data, size);
    read_as(&amdgpu_vendor, "-vram:", longer, before + size, before);
    read_as(&intel_vendor, "drm-resident-", longer, before + size, before);
    free(longer);
    return 0;
}
