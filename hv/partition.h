/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Partitions. Two structures, by owner (docs/memory-layout.md):
 *
 *     struct partition_entry   machine-owned, static: name, state, policy, scheduling;
 *                              exists for each partition of the manifest, written by the core
 *     struct partition         partition-owned, first thing in its pool: MMU, vCPUs, devices;
 *                              exists from start to destroy; what serves an exit writes only here
 */
#ifndef HV_PARTITION_H
#define HV_PARTITION_H

#include "hv/balloon.h"
#include "hv/events.h"
#include "hv/manifest.h"
#include "hv/msr.h"
#include "hv/vcpu.h"
#include "hv/vdev/vdevs.h"
#include "lib/boot_info.h"
#include "lib/bug.h"
#include "lib/list.h"
#include "lib/ring.h"
#include "mm/mmu.h"
#include "mm/pool.h"

#define SERIAL_RING_SIZE (64 * KIB)
#define REASON_MAX 200
#define FINGERPRINT_MAX 48

enum partition_state {
	PARTITION_STOPPED, /* never started, stopped or destroyed by the operator */
	PARTITION_RUNNING,
	PARTITION_PAUSED,
	PARTITION_OFF,	   /* the guest ended by itself: power off or debug exit */
	PARTITION_CRASHED, /* triple fault, or something that the guest did and we cannot go on */
	PARTITION_BUGGED,  /* one of our invariants broke (P1) */
};

/* Why a partition's vCPUs left for good; the first cause counts. */
enum stop_cause {
	STOP_NONE,
	STOP_POWER_OFF,
	STOP_DEBUG_EXIT,
	STOP_RESET,
	STOP_CRASH,
};

/* Partition-owned. */
struct partition {
	owner_t id;
	char name[PARTITION_NAME_MAX];
	struct pool pool;
	struct bug_state bug;
	struct mmu mmu;
	struct mmu_vcpu core_reads; /* the core's read sections of this MMU */
	bool manager;		    /* of the others' memory faults */
	struct events events;
	struct balloon balloon;
	struct virt_partition virt;
	struct vdevs devices;
	struct msr_state msrs;
	struct ring serial;	      /* what the guest sent on COM1 */
	uint64_t tsc_offset;	      /* partition time = host TSC + tsc_offset */
	uint64_t tsc_adjust;	      /* guest TSC = partition time + tsc_adjust: its own writes */
	uint64_t timer[VTIMER_COUNT]; /* deadlines in partition time, VTIMER_NEVER */
	uint64_t next_timer;	      /* the earliest of them, in host TSC */
	enum stop_cause stop;
	uint32_t stop_status; /* debug exit */
	char stop_reason[REASON_MAX];
	bool serial_watched; /* somebody looks: come to the core soon after output */
	bool console_wakeup; /* set by serial output while watched, cleared by the core */
	struct vcpu vcpus[VCPUS_MAX];
	unsigned int vcpu_count;
};

/* Scheduling state of one vCPU. Machine-owned, of the CPU whose queue it is on. */
struct sched_entity {
	struct list_node link; /* run queue or sleepers; own list when on neither */
	bool queued;	       /* on the run queue */
	bool sleeping;	       /* on the sleepers' list */
	uint64_t wake_at;      /* host TSC; UINT64_MAX: only by wake-up */
	uint64_t cpu_ticks;    /* host TSC ticks that it ran */
	struct partition_entry *entry;
	unsigned int vcpu; /* index in its partition */
};

/* Machine-owned, written in the core only. */
struct partition_entry {
	owner_t id; /* index + 1 */
	const struct partition_config *config;
	enum partition_state state;
	struct partition *partition; /* NULL: nothing is built */
	char reason[REASON_MAX];     /* why it is in this state, in words; may be empty */
	bool has_exit_status;
	uint32_t exit_status;
	unsigned int start_count;
	uint64_t build_ticks;		   /* host TSC ticks that its building took */
	uint64_t reset_debt;		   /* host TSC at which all its resets are paid for */
	unsigned int bug_restarts;	   /* used up of max-restarts */
	char fingerprint[FINGERPRINT_MAX]; /* of the last bug: rule@file:line */
	unsigned int fingerprint_count;
	uint64_t restart_at;  /* host TSC, UINT64_MAX: no restart is due */
	uint64_t audit_at;    /* host TSC: look after an injection; UINT64_MAX: none due */
	uint64_t serial_seen; /* cursor of the operator in partition->serial */
	uint64_t past_exits;  /* of earlier lives, for `ps` */
	struct sched_entity sched[VCPUS_MAX];
};

const char *partition_state_name(enum partition_state state);

/*
 * Called once with what the manifest gave; `info` for the modules. `can_run` is false on a
 * machine without virtualisation: nothing starts then. Core.
 */
void partitions_init(const struct manifest *manifest, const struct boot_info *info, bool can_run);
unsigned int partitions_count(void);
struct partition_entry *partition_at(unsigned int index);
struct partition_entry *partition_find(const char *name); /* NULL if there is none */
struct partition_entry *partition_entry_of(const struct partition *partition);

/*
 * The operator's verbs, all in the core while no vCPU of the partition is in guest mode. Each
 * returns 0, or an error with a message and nothing changed.
 *   start    from stopped, off, crashed, bugged: a fresh boot
 *   stop     from running, paused: memory stays to be inspected
 *   destroy  from any: memory goes back
 */
int __must_check partition_start(struct partition_entry *entry, struct error_text *error);
int __must_check partition_stop(struct partition_entry *entry, struct error_text *error);
int __must_check partition_pause(struct partition_entry *entry, struct error_text *error);
int __must_check partition_resume(struct partition_entry *entry, struct error_text *error);
int __must_check partition_restart(struct partition_entry *entry, struct error_text *error);
void partition_destroy(struct partition_entry *entry);

/* Builds the partition of `entry` (pool, MMU, slots, devices, vCPU, guest image). Core. */
int __must_check partition_build(struct partition_entry *entry, struct error_text *error);
/* The same memory map for the loader and the ACPI tables; see docs/memory-layout.md. */
#define GUEST_LOW_END UINT64_C(0xc0000000)
#define GUEST_ACPI_BASE UINT64_C(0xe0000)

/* A vCPU of it left for good (vcpu_run() said STOPPED): set the state, apply the policy. Core. */
void partition_ended(struct partition_entry *entry);

/* Restarts that are due, audits after injections: called by the CPU loop. Core. */
void partition_do_due_work(uint64_t now);
/* Host TSC of the next such work, UINT64_MAX: none. */
uint64_t partition_next_work(void);

/*
 * While serving: the partition cannot go on, its vCPUs leave guest mode. Only the first call
 * counts. Partition-owned state only.
 */
void partition_end(struct partition *partition, enum stop_cause cause, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Finds the earliest device timer and arms for it; after any change of partition->timer. */
void partition_next_timer(struct partition *partition);

/*
 * True when the CPU has fewer ASIDs than there are partitions: those beyond share number 1,
 * so translations are dropped whenever another vCPU is loaded.
 */
bool partition_asids_shared(void);

/* True when it runs, but a vCPU of it is parked by a memory fault. */
bool partition_is_parked(const struct partition_entry *entry);

/* Total exits of the partition's vCPUs, and host memory that belongs to it, in bytes. */
uint64_t partition_exits(const struct partition_entry *entry);
uint64_t partition_memory(const struct partition_entry *entry);

/* A byte typed for the guest. False when its UART is full. Wakes it. Core. */
bool partition_serial_input(struct partition_entry *entry, uint8_t byte);

/* hv/bugged.c: hooks of a partition's bug_state, and the report of the first cause. */
extern const struct bug_ops partition_bug_ops;
void bugged_set_policy(bool stops_machine);
void bugged_report(struct partition_entry *entry);

#endif
