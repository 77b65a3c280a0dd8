// SPDX-License-Identifier: Apache-2.0
#include "gpu/nvml_library.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>

static const char DEFAULT_NAME[] = "libnvidia-ml.so.1";

/* Besides the linker's own: Windows' WSL, container hosts, NixOS, Debian's alternatives. */
static const char *const known_folders[] = {
    "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib/aarch64-linux-gnu/nvidia/current",
    "/run/opengl-driver/lib",
};

static const struct {
    const char *name;
    size_t offset;
    bool required;
} symbols[] = {
#define SYM(name, required, args) \
    {"nvml" #name, offsetof(struct nvml_api, name), required},
    NVML_SYMBOLS(SYM)
#undef SYM
};

const char *nvml_library_distrust(const struct stat *file, uid_t us, bool named)
{
    if (file->st_mode & (S_IWGRP | S_IWOTH))
        return "others than its owner may write to it";
    if (file->st_uid == 0 || (named && file->st_uid == us))
        return NULL;
    return named ? "it is owned neither by root nor by the user that runs vramscoped"
                 : "it is not owned by root";
}

/* A file that is not there, or cannot be seen, is for dlopen() to complain about. */
static int check_trust(const char *path, bool named, struct gpu_source_state *state)
{
    struct stat file;
    const char *why;

    if (stat(path, &file) < 0 || !S_ISREG(file.st_mode))
        return 0;
    why = nvml_library_distrust(&file, geteuid(), named);
    if (!why)
        return 0;
    return gpu_say(state, -ELIBBAD, GPU_BAD_LIBRARY,
                   "the NVIDIA library is not loaded: %s (%s, owner %u, mode %03o)", why,
                   path, (unsigned)file.st_uid, (unsigned)file.st_mode & 07777);
}

/* glibc says "NAME: cannot open shared object file: REASON"; of a file that is there but
 * useless it says something else, and a missing dependency has another NAME. */
static int load_failed(const char *path, struct gpu_source_state *state)
{
    const char *text = dlerror();
    size_t len = strlen(path);
    enum gpu_verdict verdict = GPU_BAD_LIBRARY;
    int r = -ELIBBAD;

    if (!text)
        text = "unknown error";
    if (strncmp(text, path, len) == 0 && text[len] == ':') {
        if (strstr(text + len, strerror(ENOENT))) {
            verdict = GPU_NO_LIBRARY;
            r = -ENODEV;
        } else if (strstr(text + len, strerror(EACCES))) {
            verdict = GPU_NO_PERMISSION;
            r = -EACCES;
        }
    }
    return gpu_say(state, r, verdict, "the NVIDIA library does not load: %s", text);
}

/* The file whose mapping has `address` in it, as the kernel names it now. */
static int find_mapped(const char *proc_root, const void *address, char path[PATH_MAX])
{
    char line[PATH_MAX + 128];
    int r = -ENOENT;
    FILE *maps;

    if (snprintf(line, sizeof(line), "%s/self/maps", proc_root) >= (int)sizeof(line))
        return -ENAMETOOLONG;
    maps = fopen(line, "re");
    if (!maps)
        return neg_errno();
    while (r < 0 && fgets(line, sizeof(line), maps)) {
        char *end, *name = strchr(line, '/');
        uintptr_t from = strtoull(line, &end, 16);
        uintptr_t to = *end == '-' ? strtoull(end + 1, NULL, 16) : 0;

        if (!name || (uintptr_t)address < from || (uintptr_t)address >= to)
            continue;
        name[strcspn(name, "\n")] = '\0';
        r = snprintf(path, PATH_MAX, "%s", name) < PATH_MAX ? 0 : -ENAMETOOLONG;
    }
    (void)fclose(maps); // it was only read
    return r;
}

/*
 * A library that cannot be unloaded is found again under its name, whatever that name
 * stands for by now. The kernel adds " (deleted)" to the path of a file that is gone.
 */
static bool is_replaced(const char *proc_root, void *handle, const char *path)
{
    void *symbol = dlsym(handle, symbols[0].name);
    char mapped[PATH_MAX], now[PATH_MAX];

    return symbol && realpath(path, now) && find_mapped(proc_root, symbol, mapped) == 0 &&
           strcmp(mapped, now) != 0;
}

/* What is to be loaded, and where it was found. */
struct search {
    const char *name;
    bool named; // by the user that runs us
    const char *proc_root;
    struct gpu_source_state *state;
    void *handle;
    bool broken; // a file of that name did not load; `state` says why
};

/* Before its first code runs. */
static int check_file(struct search *search, const char *path, bool named)
{
    void *remaining;
    bool replaced;
    int r = check_trust(path, named, search->state);

    if (r < 0)
        return r;
    remaining = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (!remaining)
        return 0;
    replaced = is_replaced(search->proc_root, remaining, path);
    (void)dlclose(remaining); // the reference that was just taken
    if (!replaced)
        return 0;
    return gpu_say(search->state, -ESTALE, GPU_VERSION_MISMATCH,
                   "%s was replaced while it was in use: a new process loads it", path);
}

/* 1: nothing of that name here, or, as the linker has it too, nothing that loads. */
static int try_folder(struct search *search, const char *folder, bool named)
{
    char path[PATH_MAX];
    int r;

    if (snprintf(path, sizeof(path), "%s/%s", folder, search->name) >=
            (int)sizeof(path) ||
        access(path, F_OK) < 0)
        return 1;
    r = check_file(search, path, named);
    if (r < 0)
        return r;
    search->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (search->handle)
        return 0;
    (void)load_failed(path, search->state); // the next one may load
    search->broken = true;
    return 1;
}

/* The folders that the linker looks into by itself; those of LD_LIBRARY_PATH are first. */
static int try_linker_folders(struct search *search)
{
    void *self = dlopen(NULL, RTLD_LAZY);
    Dl_serinfo size, *folders = NULL;
    int r = 1;

    if (self && dlinfo(self, RTLD_DI_SERINFOSIZE, &size) == 0)
        folders = calloc(1, size.dls_size);
    if (folders && dlinfo(self, RTLD_DI_SERINFOSIZE, folders) == 0 &&
        dlinfo(self, RTLD_DI_SERINFO, folders) == 0) {
        for (unsigned i = 0; i < folders->dls_cnt && r > 0; i++) {
            const Dl_serpath *at = &folders->dls_serpath[i];

            r = try_folder(search, at->dls_name,
                           search->named || at->dls_flags & LA_SER_LIBPATH);
        }
    }
    free(folders);
    if (self)
        (void)dlclose(self);
    return r;
}

/* By its name, from a folder that only the linker's cache knows. */
static int try_linker(struct search *search)
{
    const struct gpu_source_state before = *search->state;
    struct link_map *map = NULL;
    int r;

    search->handle = dlopen(search->name, RTLD_NOW | RTLD_LOCAL);
    if (!search->handle) {
        r = load_failed(search->name, search->state);
        if (!search->broken)
            return r;
        *search->state = before; // of the file that is there
        return -ELIBBAD;
    }
    if (dlinfo(search->handle, RTLD_DI_LINKMAP, &map) < 0 || !map)
        return gpu_say(search->state, -ELIBBAD, GPU_BAD_LIBRARY,
                       "%s was loaded from an unknown place", search->name);
    return check_trust(map->l_name, search->named, search->state);
}

static int find(struct search *search)
{
    int r;

    if (strchr(search->name, '/')) {
        r = check_file(search, search->name, true);
        if (r < 0)
            return r;
        search->handle = dlopen(search->name, RTLD_NOW | RTLD_LOCAL);
        return search->handle ? 0 : load_failed(search->name, search->state);
    }

    r = try_linker_folders(search);
    for (size_t i = 0; i < ARRAY_LEN(known_folders) && r > 0; i++)
        r = try_folder(search, known_folders[i], search->named);
    return r > 0 ? try_linker(search) : r;
}

static int resolve(struct nvml_library *library, const char *name,
                   struct gpu_source_state *state)
{
    for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
        void *symbol = dlsym(library->handle, symbols[i].name);

        if (!symbol && symbols[i].required)
            return gpu_say(state, -ELIBBAD, GPU_BAD_LIBRARY, "%s has no %s", name,
                           symbols[i].name);
        memcpy((char *)&library->api + symbols[i].offset, &symbol, sizeof(symbol));
    }

    // These drivers alone have the one and not the other, and longer rows in their v3.
    library->v3_row_size = library->api.DeviceGetConfComputeMemSizeInfo &&
                                   !library->api.DeviceGetRunningProcessDetailList
                               ? NVML_PROCESS_535_SIZE
                               : NVML_PROCESS_V2_SIZE;
    return 0;
}

int nvml_library_open(struct nvml_library *library, const struct gpu_env *env,
                      struct gpu_source_state *state)
{
    struct search search = {
        .name = env->nvml_library ? env->nvml_library : DEFAULT_NAME,
        .named = env->nvml_library != NULL,
        .proc_root = env->proc_root ? env->proc_root : "/proc",
        .state = state,
    };
    int r = find(&search);

    library->handle = search.handle;
    if (r == 0)
        r = resolve(library, search.name, state);
    if (r < 0)
        nvml_library_close(library);
    return r;
}

void nvml_library_close(struct nvml_library *library)
{
    if (library->handle)
        (void)dlclose(library->handle);
    library->handle = NULL;
}
