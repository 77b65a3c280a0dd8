// SPDX-License-Identifier: Apache-2.0
/*
 * amdgpu.h - what the parts of the AMD back end share
 *
 *   amdgpu_cards.c    the cards below SYS/class/drm, and who they are
 *   amdgpu_kfd.c      memory of compute processes, below SYS/class/kfd
 *   amdgpu_fdinfo.c   memory of DRM clients, below PROC/<pid>/fdinfo
 *   gpu_amdgpu.c      the back end: memory of the cards, rows of their processes
 *
 * No library is called: the kernel's files are the interface that AMD's own tools read.
 */
#ifndef GPU_AMDGPU_H
#define GPU_AMDGPU_H

#include "gpu/gpu_backend.h"
#include "gpu/small_files.h"

enum {
    AMDGPU_NODES_MAX = 256,    // of KFD: a card has one per partition
    AMDGPU_CLIENTS_MAX = 4096, // DRM clients, that is open files, on all cards
    AMDGPU_HOLDERS_MAX = 1024, // processes with such files
    AMDGPU_UEVENT_MAX = 4096,
};

/* A function of a PCI device; the domain of a virtual bus may exceed 16 bits. */
struct pci_address {
    uint32_t domain;
    uint32_t location; // bus << 8 | device << 3 | function
};

struct amdgpu_card {
    uint32_t index;         // N of cardN
    int fd;                 // of its device folder
    int error;              // negative errno: why it is lost; 0: it is there
    uint32_t render_minor;  // UINT32_MAX: it has none
    struct pci_address pci; // UINT32_MAX twice: unknown
    bool in_kfd;            // KFD counts the memory of its compute processes
    char uuid[GPU_UUID_MAX];
    char name[GPU_NAME_MAX];
};

struct amdgpu_cards {
    uint32_t n;
    bool cut; // there are more than fit
    struct amdgpu_card cards[GPU_DEVICES_MAX];
};

/*
 * List the cards anew, in the order of their numbers. One that was there before and is no
 * longer stays for one listing, as lost, with its name. `room` is for the work alone.
 * -ENOENT: no class/drm.
 */
int amdgpu_list_cards(int sys_fd, struct amdgpu_cards *cards,
                      struct amdgpu_cards *room) MUST_CHECK;
void amdgpu_forget_cards(struct amdgpu_cards *cards);

bool amdgpu_read_pci(struct span text, struct pci_address *ret) MUST_CHECK;

/*
 * A GPU of AMD's on the PCI bus, whoever drives it. False: none, or no such bus.
 */
bool amdgpu_find_pci(int sys_fd, char *address, size_t room) MUST_CHECK;

/* Bytes of one process on one card, of whichever origin. */
struct amdgpu_row {
    uint32_t pid;
    uint32_t card;  // into amdgpu_cards.cards
    uint64_t bytes; // UNKNOWN: the kernel said something that is not a number
};

struct amdgpu_rows {
    uint32_t n;
    bool cut; // some were left out
    struct amdgpu_row rows[GPU_PROCESSES_MAX];
};

/* The row of a process on a card, made with 0 bytes if need be; NULL: no room. */
struct amdgpu_row *amdgpu_row_of(struct amdgpu_rows *rows, uint32_t pid, uint32_t card);
const struct amdgpu_row *amdgpu_find_row(const struct amdgpu_rows *rows, uint32_t pid,
                                         uint32_t card);

struct amdgpu_node {
    uint32_t gpu_id;
    uint32_t card;
};

struct amdgpu_kfd {
    bool hidden; // a node may not be read: a card without one may have one all the same
    uint32_t n_nodes;
    struct amdgpu_node nodes[AMDGPU_NODES_MAX];
};

/* Which card each of KFD's GPUs is; sets in_kfd. After each listing of the cards. */
void amdgpu_kfd_map(struct amdgpu_kfd *kfd, int sys_fd, struct amdgpu_cards *cards);

/*
 * What KFD counts for each process; 0 bytes too. -ENOENT: there is no KFD. -ENODATA: some
 * of it could not be read.
 */
int amdgpu_kfd_read(const struct amdgpu_kfd *kfd, int sys_fd,
                    struct amdgpu_rows *rows) MUST_CHECK;

/* What one file of fdinfo says about an open file. */
struct amdgpu_fdinfo {
    bool is_amdgpu;
    bool has_pci;
    bool has_client;
    struct pci_address pci;
    uint64_t client_id;
    uint64_t vram_bytes; // UNKNOWN: not said, or not a number
};

struct amdgpu_fdinfo amdgpu_read_fdinfo(struct span text);

/* An open file; several descriptors, also of several processes, may be the same one. */
struct amdgpu_client {
    uint64_t id;
    uint64_t bytes;
    uint32_t pid; // that it is counted for
    uint32_t card;
    bool in_kfd; // KFD counts this process on this card
};

struct amdgpu_clients {
    int proc_fd;
    struct folder all; // PROC, listed bit by bit
    bool rounded;      // all processes have been looked at
    bool denied;       // by a process met in this round or the last
    bool denied_now;
    uint32_t n_holders;
    uint32_t holders[AMDGPU_HOLDERS_MAX]; // pids that had a client
    size_t budget;                        // descriptors yet to be looked at
    bool cut;                             // some were left out
    uint32_t n;
    struct amdgpu_client clients[AMDGPU_CLIENTS_MAX];
};

/*
 * The DRM clients of the processes in `kfd`, of those that had some before, and of the
 * next few in PROC: all of them are looked at in turn, some 200 in a call.
 */
void amdgpu_clients_read(struct amdgpu_clients *clients, const struct amdgpu_cards *cards,
                         const struct amdgpu_rows *kfd);

#endif
