// SPDX-License-Identifier: Apache-2.0
/*
 * drm.h - what back ends on the kernel's DRM drivers share
 *
 *   drm_cards.c    the cards below SYS/class/drm, and who they are
 *   drm_fdinfo.c   memory of DRM clients, below PROC/<pid>/fdinfo
 *   drm_host.c     both in their time, and as devices of a sample
 *
 * A back end tells by its struct drm_vendor which cards are its own and how to read them.
 * No library is called: the kernel's files are the interface that the vendors' own tools
 * read.
 */
#ifndef GPU_DRM_H
#define GPU_DRM_H

#include "gpu/gpu_backend.h"
#include "gpu/small_files.h"

enum {
    DRM_CLIENTS_MAX = 4096, // open files, on all cards
    DRM_HOLDERS_MAX = 1024, // processes with such files
    DRM_UEVENT_MAX = 4096,
};

/* A function of a PCI device; the domain of a virtual bus may exceed 16 bits. */
struct pci_address {
    uint32_t domain;
    uint32_t location; // bus << 8 | device << 3 | function
};

/* 0000:03:00.0 */
bool pci_read(struct span text, struct pci_address *ret) MUST_CHECK;

struct drm_card {
    uint32_t index;         // N of cardN
    int fd;                 // of its device folder
    int error;              // negative errno: why it is lost; 0: it is there
    uint32_t driver;        // the vendor's own number of it
    uint32_t render_minor;  // UINT32_MAX: it has none
    int node_fd;            // its render node, where a vendor opens it; -1: not open
    bool without_memory;    // of its own: integrated, and no device to the world
    struct pci_address pci; // UINT32_MAX twice: unknown
    char uuid[GPU_UUID_MAX];
    char name[GPU_NAME_MAX];
};

struct drm_cards {
    uint32_t n;
    bool cut; // there are more than fit
    struct drm_card cards[GPU_DEVICES_MAX];
};

/* Memory of a card, just read. */
struct drm_reading {
    int error;   // negative errno; 0: what follows is what the driver says
    bool closed; // `error` is that of opening the render node
    uint64_t total_bytes;
    uint64_t used_bytes;
};

/* How a driver calls itself and its device memory in fdinfo. */
struct drm_naming {
    const char *driver;
    const char *region; // "vram" of drm-resident-vram
    bool numbered;      // vram0, vram1, ... : they are summed
    bool has_alias;     // drm-memory-<region>, an older name of drm-resident-<region>
};

struct drm_host;

/*
 * Fill in `name`, and `uuid` and `driver` if need be, of a card with the vendor's PCI id;
 * `fd` and all else is in place. -ENODEV: not a card of this back end.
 */
typedef int drm_identify_fn(struct drm_card *card);

/* May set node_fd and without_memory. */
typedef struct drm_reading drm_read_fn(struct drm_host *host, struct drm_card *card);

/* The cards have been listed anew. */
typedef void drm_listed_fn(struct drm_host *host);

struct drm_vendor {
    const char *pci_vendor; // as the file `vendor` has it: "0x1002"
    const char *name;       // "AMD"
    const char *drivers;    // "the amdgpu kernel driver does"
    const char *classes[2]; // of PCI devices that are GPUs: "0x03"
    const char
        *integrated; // address of a GPU without memory of its own; NULL: may be any
    struct drm_naming namings[2];
    size_t n_namings;
    drm_identify_fn *identify;
    drm_read_fn *read;
    drm_listed_fn *listed; // or NULL
};

/* Bytes of one process on one card, of whichever origin. */
struct drm_row {
    uint32_t pid;
    uint32_t card;  // into drm_cards.cards
    uint64_t bytes; // UNKNOWN: the kernel said something that is not a number
};

struct drm_rows {
    uint32_t n;
    bool cut; // some were left out
    struct drm_row rows[GPU_PROCESSES_MAX];
};

/* The row of a process on a card, made with 0 bytes if need be; NULL: no room. */
struct drm_row *drm_row_of(struct drm_rows *rows, uint32_t pid, uint32_t card);
const struct drm_row *drm_find_row(const struct drm_rows *rows, uint32_t pid,
                                   uint32_t card);

/* What one file of fdinfo says about an open file. */
struct drm_fdinfo {
    bool is_ours; // of one of the vendor's drivers
    bool has_pci;
    bool has_client;
    struct pci_address pci;
    uint64_t client_id;
    bool told;           // of a region by its present name
    uint64_t vram_bytes; // UNKNOWN: not said, or not a number
};

struct drm_fdinfo drm_read_fdinfo(struct span text, const struct drm_vendor *vendor);

/* An open file; several descriptors, also of several processes, may be the same one. */
struct drm_client {
    uint64_t id;
    uint64_t bytes;
    uint32_t pid; // that it is counted for
    uint32_t card;
    bool counted; // the driver counts this process on this card elsewhere
};

struct drm_clients {
    int proc_fd;
    struct folder all; // PROC, listed bit by bit
    bool rounded;      // all processes have been looked at
    bool denied;       // by a process met in this round or the last
    bool denied_now;
    uint32_t n_holders;
    uint32_t holders[DRM_HOLDERS_MAX]; // pids that had a client
    size_t budget;                     // descriptors yet to be looked at
    bool cut;                          // some were left out
    uint32_t n;
    struct drm_client clients[DRM_CLIENTS_MAX];

    // For the time of a call:
    const struct drm_vendor *vendor;
    const struct drm_cards *cards;
    const struct drm_rows *counted;
};

/*
 * List the cards anew, in the order of their numbers. `room` is for the work alone.
 * -ENOENT: no class/drm.
 */
int drm_list_cards(const struct drm_vendor *vendor, int sys_fd, struct drm_cards *cards,
                   struct drm_cards *room) MUST_CHECK;
void drm_forget_cards(struct drm_cards *cards);

/*
 * A GPU of the vendor's on the PCI bus, whoever drives it, that is not among `cards`.
 * False: none, or no such bus.
 */
bool drm_find_gpu(const struct drm_vendor *vendor, int sys_fd,
                  const struct drm_cards *cards, char *address, size_t room) MUST_CHECK;

/* Cards and clients of one vendor. */
struct drm_host {
    const struct drm_vendor *vendor;
    int sys_fd;
    uint64_t listed_ns;
    bool listed;  // once at least
    bool trouble; // a card could not be read since
    struct drm_cards cards, room;
    struct drm_reading readings[GPU_DEVICES_MAX];
    struct drm_clients clients;
    struct drm_rows rows; // of the clients, once they are summed
};

/* -ENODEV: no card of the vendor's; `state` says why. `host` is zeroed before. */
int drm_open(const struct gpu_env *env, const struct drm_vendor *vendor,
             struct gpu_source_state *state, struct drm_host *host) MUST_CHECK;
void drm_close(struct drm_host *host); // once drm_open() was called

/*
 * The memory of each card, into `readings`. The cards are listed anew every 10 s, after 5
 * where one cannot be read, and at once when one fails that did not; one that was there
 * before and is no longer stays for one listing, as lost, with its name. Negative: they
 * cannot be listed; `state` says why.
 */
int drm_read_memory(struct drm_host *host, uint64_t now_ns,
                    struct gpu_source_state *state) MUST_CHECK;

/*
 * The DRM clients of the processes in `counted` (whose memory the driver counts by other
 * means), of those that had some before, and of the next few in PROC: all of them are
 * looked at in turn, some 200 in a call. `rows` are then the sums over those that are not
 * counted elsewhere. None of the processes' memory is in both.
 */
void drm_read_clients(struct drm_host *host, const struct drm_rows *counted);

/* Every process was looked at. */
bool drm_is_round_whole(const struct drm_clients *clients) MUST_CHECK;

/* A device for card `i`, with what its reading says. NULL: there is no room. */
struct gpu_device *drm_add_device(const struct drm_host *host, uint32_t i,
                                  struct gpu_sample *out);

/*
 * The process list of the sample is not all: a card is lost, or there are more cards or
 * clients than fit.
 */
bool drm_is_cut(const struct drm_host *host) MUST_CHECK;

/*
 * Rows of that card, for the device added last. A process that has nothing on it gets
 * none: drivers' libraries open all cards that they see, and a process would be on cards
 * that it never uses.
 */
void drm_add_rows(const struct drm_rows *rows, uint32_t card, struct gpu_sample *out);

#endif
