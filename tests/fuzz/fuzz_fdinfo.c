// SPDX-License-Identifier: Apache-2.0
/* A line that means nothing changes nothing; no memory is told without one that does. */
#include "gpu/amdgpu.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char nothing[] = "drm-memory-gtt:\t7 KiB\n";
    struct amdgpu_fdinfo info =
        amdgpu_read_fdinfo((struct span){(const char *)data, size});
    struct amdgpu_fdinfo again;
    char *longer = malloc(sizeof(nothing) + size);

    if (!longer)
        abort();
    memcpy(longer, nothing, sizeof(nothing) - 1);
    if (size > 0)
        memcpy(longer + sizeof(nothing) - 1, data, size);
    again = amdgpu_read_fdinfo((struct span){longer, sizeof(nothing) - 1 + size});
    assert(info.is_amdgpu == again.is_amdgpu && info.has_client == again.has_client);
    assert(info.has_pci == again.has_pci && info.vram_bytes == again.vram_bytes);
    assert(info.vram_bytes == UNKNOWN ||
           memmem(longer, sizeof(nothing) - 1 + size, "-vram:", strlen("-vram:")));
    free(longer);
    return 0;
}
