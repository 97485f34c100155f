/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The manifest (docs/manifest.md): text in, configuration of the machine and its partitions
 * out. Pure: no machine, no memory allocation; the same file is linked into host programs.
 */
#ifndef HV_MANIFEST_H
#define HV_MANIFEST_H

#include "lib/bits.h"
#include "lib/status.h"

#define MANIFEST_FILE "bulkhead.conf"
#define MANIFEST_SIZE_MAX (64 * KIB)
#define PARTITIONS_MAX 16
#define PARTITION_NAME_MAX 32
#define PARTITION_MODULES_MAX 8
#define MODULE_NAME_MAX 64
#define MODULE_ARGS_MAX 128
#define CMDLINE_MAX 2048
#define VCPUS_MAX 1 /* more of them are a later issue's */

enum kernel_format {
	FORMAT_AUTO,
	FORMAT_BZIMAGE,
	FORMAT_ELF, /* PVH note, else Multiboot 1 header */
	FORMAT_RAW,
};

enum on_bug {
	ON_BUG_HALT,
	ON_BUG_RESTART,
};

struct module_config {
	char name[MODULE_NAME_MAX];
	char args[MODULE_ARGS_MAX]; /* what follows the name on the line */
};

struct partition_config {
	char name[PARTITION_NAME_MAX]; /* letters, digits, - and _ ; starts with a letter */
	char kernel[MODULE_NAME_MAX];
	enum kernel_format format;
	char initrd[MODULE_NAME_MAX]; /* empty: none */
	struct module_config modules[PARTITION_MODULES_MAX];
	unsigned int module_count;
	char cmdline[CMDLINE_MAX];
	uint64_t memory;   /* bytes, a multiple of 4 KiB; 1 MiB to 1 TiB */
	uint64_t mmu_pool; /* bytes of metadata, as memory; 0: as much as the memory may need */
	unsigned int vcpus;
	uint64_t cpus; /* a bit per host CPU; 0: any */
	enum on_bug on_bug;
	unsigned int max_restarts;
	bool start;
	bool debug_exit;
	bool manager;	       /* of the others' memory faults */
	uint64_t absent_start; /* gpas [start, end) whose pages are not there at first; */
	uint64_t absent_end;   /* equal: none */
	uint64_t load;	       /* raw: gpa where the file goes, below 1 MiB */
	uint64_t entry;	       /* raw: gpa of the first instruction, below 1 MiB */
	unsigned int line;     /* of its [partition ...] header */
	bool valid;	       /* false: an error was reported for it; it must not start */
};

struct machine_config {
	bool data_corruption_stops_machine; /* data-corruption = machine */
};

struct manifest {
	struct machine_config machine;
	struct partition_config partitions[PARTITIONS_MAX];
	unsigned int partition_count; /* invalid ones included, in the file's order */
};

/* Called with each complete message, without newline: "bulkhead.conf:12: memory: ...". */
typedef void manifest_report_fn(void *context, const char *message);

/*
 * Parses `text` ([0, size), need not end in NUL or newline). Every error is reported with
 * file name, line, key and the rule that it breaks; a wrong key makes its partition invalid
 * and the others stay. Returns the number of errors, or -EINVAL when nothing of the file
 * can be used (too large, NUL bytes, unknown format version).
 */
int manifest_parse(struct manifest *manifest, const char *file, const char *text, size_t size,
		   manifest_report_fn *report, void *context);

#endif
