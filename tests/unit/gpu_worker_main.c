// SPDX-License-Identifier: Apache-2.0
/*
 * gpu_worker_main.c - the GPU worker as a program of its own, for test_gpu_link
 *
 * GPU_WORKER_ACT makes it misbehave in one of the ways below instead. GPU_WORKER_PIN names
 * a library that it holds on to, while PATH.new takes its place: an upgrade.
 */
#include "gpu/gpu_worker.h"

#include <dlfcn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "gpu/gpu_frame.h"

/* A frame that would be right, for the acts to spoil. */
static size_t good_frame(const struct gpu_request *request, char frame[GPU_FRAME_MAX])
{
    static struct gpu_sample sample; // too large for the stack
    const struct gpu_frame_info info = {request->seq, true};

    sample.n_sources = 1;
    sample.sources[0].verdict = GPU_OK;
    (void)gpu_add_device(&sample, 0);
    sample.taken_ns = UINT64_MAX;
    sample.processes_taken_ns = UINT64_MAX;
    return gpu_frame_encode(&info, &sample, frame);
}

static struct gpu_request ask(void)
{
    char bytes[GPU_REQUEST_SIZE];
    struct gpu_request request = {0};
    ssize_t n = recv(GPU_WORKER_FD, bytes, sizeof(bytes), 0);

    if (n != (ssize_t)sizeof(bytes) ||
        gpu_request_decode((struct span){bytes, sizeof(bytes)}, &request) < 0)
        _exit(0);
    return request;
}

static void say(const char *bytes, size_t len)
{
    if (send(GPU_WORKER_FD, bytes, len, MSG_NOSIGNAL) < 0)
        _exit(1);
}

static void act_garbage(char *frame)
{
    (void)ask();
    memset(frame, 0x5a, 1000);
    say(frame, 1000);
}

static void act_short(char *frame)
{
    struct gpu_request request = ask();

    say(frame, good_frame(&request, frame) - 1);
}

/* The two halves of one that is right. */
static void act_half(char *frame)
{
    struct gpu_request request = ask();
    size_t len = good_frame(&request, frame);

    say(frame, len / 2);
    say(frame + len / 2, len - len / 2);
}

static void act_version(char *frame)
{
    struct gpu_request request = ask();
    size_t len = good_frame(&request, frame);

    frame[4]++; // the lowest byte of it
    say(frame, len);
}

static void act_empty(char *frame)
{
    (void)ask();
    say(frame, 0);
}

/* One right answer, and that again for ever. */
static void act_flood(char *frame)
{
    struct gpu_request request = ask();
    size_t len = good_frame(&request, frame);

    for (;;)
        say(frame, len);
}

static void act_huge(char *frame)
{
    (void)ask();
    say(frame, 2 * GPU_FRAME_MAX);
}

static void act_unasked(char *frame)
{
    struct gpu_request request = {1, true};

    say(frame, good_frame(&request, frame));
}

static void act_twice(char *frame)
{
    struct gpu_request request = ask();
    size_t len = good_frame(&request, frame);

    say(frame, len);
    say(frame, len);
}

static void act_other_seq(char *frame)
{
    struct gpu_request request = ask();

    request.seq++;
    say(frame, good_frame(&request, frame));
}

static void act_future(char *frame)
{
    struct gpu_request request = ask();

    say(frame, good_frame(&request, frame));
}

static void act_crash(char *frame)
{
    (void)frame;
    (void)ask();
    abort();
}

static void act_busy(char *frame)
{
    (void)frame;
    (void)ask();
    while (clock() < CLOCKS_PER_SEC / 8)
        continue;
    _exit(0);
}

static void act_leave(char *frame)
{
    (void)frame;
    _exit(7);
}

/* Exit 9 if anything but the descriptors of a worker is open. */
static void act_descriptors(char *frame)
{
    struct gpu_request request;

    for (int fd = GPU_WORKER_FD + 1; fd < 1024; fd++)
        if (dup2(fd, fd) >= 0)
            _exit(9);
    request = ask();
    say(frame, good_frame(&request, frame));
}

/*
 * A list, then no list but another device, then a list again only if one is asked for:
 * else nothing more.
 */
static void swap(const struct gpu_device devices[2], char *frame)
{
    static struct gpu_sample sample; // too large for the stack
    static const bool lists[] = {true, false, false, true};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct gpu_request request = ask();
        const struct gpu_frame_info info = {request.seq, lists[i]};
        struct gpu_device *device;

        if (i == 3 && !request.with_processes)
            _exit(1);
        sample.n_sources = 1;
        sample.n_devices = 0;
        sample.n_processes = 0;
        device = gpu_add_device(&sample, devices[i / 2].index);
        device->instance = devices[i / 2].instance;
        memcpy(device->uuid, devices[i / 2].uuid, sizeof(device->uuid));
        gpu_add_process(&sample, 42, 100 + i);
        say(frame, gpu_frame_encode(&info, &sample, frame));
    }
}

static void act_swap(char *frame)
{
    static const struct gpu_device devices[] = {
        {.uuid = "GPU-a", .instance = GPU_NO_INSTANCE},
        {.uuid = "GPU-b", .instance = GPU_NO_INSTANCE},
    };

    swap(devices, frame);
}

static void act_swap_numbers(char *frame)
{
    static const struct gpu_device devices[] = {{.index = 1}, {.index = 2}};

    swap(devices, frame);
}

/* The driver may not give an instance's UUID. */
static void act_swap_instances(char *frame)
{
    static const struct gpu_device devices[] = {{.instance = 1}, {.instance = 2}};

    swap(devices, frame);
}

static const struct {
    const char *name;
    void (*play)(char *frame);
} acts[] = {
    {"garbage", act_garbage},
    {"short", act_short},
    {"half", act_half},
    {"version", act_version},
    {"empty", act_empty},
    {"flood", act_flood},
    {"huge", act_huge},
    {"unasked", act_unasked},
    {"twice", act_twice},
    {"other seq", act_other_seq},
    {"future", act_future},
    {"crash", act_crash},
    {"busy", act_busy},
    {"leave", act_leave},
    {"descriptors", act_descriptors},
    {"swap", act_swap},
    {"swap numbers", act_swap_numbers},
    {"swap instances", act_swap_instances},
};

static void pin(const char *library)
{
    char new[256];

    if (snprintf(new, sizeof(new), "%s.new", library) >= (int)sizeof(new) ||
        !dlopen(library, RTLD_NOW))
        _exit(8);
    (void)rename(new, library); // done already: this is the worker after it
}

int main(int argc, char **argv)
{
    static char frame[2 * GPU_FRAME_MAX];
    const char *act = getenv("GPU_WORKER_ACT");

    if (argc > 1 && strcmp(argv[1], GPU_KEEPER_ROLE) == 0)
        return gpu_keeper_main(argc, argv);
    if (getenv("GPU_WORKER_PIN"))
        pin(getenv("GPU_WORKER_PIN"));

    for (size_t i = 0; act && i < ARRAY_LEN(acts); i++) {
        if (strcmp(acts[i].name, act) == 0) {
            acts[i].play(frame);
            (void)ask(); // until the other end closes, or asks once more
            (void)ask();
            return 0;
        }
    }
    return gpu_worker_main(argc, argv);
}
