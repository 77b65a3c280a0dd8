// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_gpu_frame.c - frames as a hostile worker would send them
 *
 * What is accepted says the same when it is sent again, byte for byte; what is refused
 * leaves everything as it was.
 */
#include "gpu/gpu_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gpu_sample sample;
    static char frame[GPU_FRAME_MAX];
    const struct span bytes = {(const char *)data, size};
    struct gpu_frame_info info = {0};
    struct gpu_request request;
    char again[GPU_REQUEST_SIZE];

    if (gpu_request_decode(bytes, &request) == 0) {
        gpu_request_encode(&request, again);
        if (memcmp(again, data, size) != 0)
            abort();
    }

    sample.n_devices = UINT32_MAX;
    if (gpu_frame_decode(bytes, &info, &sample) < 0) {
        if (sample.n_devices != UINT32_MAX)
            abort();
    } else if (gpu_frame_encode(&info, &sample, frame) != size ||
               memcmp(frame, data, size) != 0) {
        abort();
    }
    return 0;
}
