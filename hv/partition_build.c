/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Building a partition: its frames, its pool, its MMU and slots, its devices, its vCPUs and
 * the guest image in its memory. Core: runs before any exit is served, and after the last.
 * Whatever fails, partition_destroy() takes everything back by the frame table.
 */
#include "arch/x86/cpuid.h"
#include "arch/x86/tsc.h"
#include "drivers/rtc.h"
#include "hv/cpuid_policy.h"
#include "hv/guest_memory.h"
#include "hv/loader/loader.h"
#include "hv/partition.h"
#include "hv/partition_hooks.h"
#include "hv/sched.h"
#include "hv/vdev/vacpi.h"
#include "lib/log.h"
#include "lib/string.h"

#define LOW_RAM_END UINT64_C(0xa0000) /* the VGA hole starts here */
#define ROM_AREA UINT64_C(0xc0000)    /* and ends here: option ROMs, of which there are none */
#define EBDA_BASE UINT64_C(0x9fc00)
#define HIGH_RAM_START UINT64_C(0x100000)
#define ABOVE_4G UINT64_C(0x100000000)
#define ACPI_AREA (HIGH_RAM_START - GUEST_ACPI_BASE)
#define CHUNK_MIN (2 * MIB)
#define POOL_FIXED_PAGES 160

/* Modules are machine-owned and constant: the loader reads them in place. */
static const struct boot_info *boot;

void partition_build_init(const struct boot_info *info)
{
	boot = info;
}

/*
 * Pages of a pool, where the manifest does not say: what every partition has, and the worst case of
 * its MMU: each 4 KiB page by an SPTE and an rmap head of its own (8 bytes each), plus an eighth
 * for what guests do outside their memory.
 */
static size_t pool_pages(const struct partition_config *config)
{
	size_t mmu = (size_t)(config->memory / PAGE_SIZE / 512 * 2 + 64);

	if (config->mmu_pool != 0) {
		return (size_t)(config->mmu_pool / PAGE_SIZE);
	}
	return POOL_FIXED_PAGES + mmu + mmu / 8;
}

static int create_pool(struct partition_entry *entry, struct error_text *error)
{
	size_t pages = pool_pages(entry->config);
	struct partition *partition;
	struct pool pool;
	pfn_t start;

	if (frames_alloc(pages, 1, entry->id, FRAME_POOL, &start)) {
		return error_set(error, -ENOMEM, "no %llu KiB of host memory for the metadata pool",
				 (unsigned long long)(pages * PAGE_SIZE / KIB));
	}
	pool_init(&pool, hpa_to_ptr(pfn_to_hpa(start)), pages);
	partition = pool_alloc_run(&pool, (sizeof(*partition) + PAGE_SIZE - 1) / PAGE_SIZE);
	if (!partition) {
		return error_set(error, -ENOMEM, "the metadata pool is too small");
	}
	partition->pool = pool;
	partition->id = entry->id;
	partition->manager = entry->config->manager;
	string_copy(partition->name, sizeof(partition->name), entry->config->name);
	bug_state_init(&partition->bug, &partition_bug_ops);
	for (unsigned int i = 0; i < VTIMER_COUNT; i++) {
		partition->timer[i] = VTIMER_NEVER;
	}
	partition->next_timer = UINT64_MAX;
	entry->partition = partition;
	return 0;
}

static int create_mmu(struct partition *partition, struct error_text *error)
{
	struct mmu_config config = {
		.format = virt == &vmx_ops ? &ept_format : &npt_format,
		.maxphyaddr = cpuid_maxphyaddr(),
		.large_1g = virt_caps.nested_large_1g,
		.accessed_dirty = virt_caps.nested_accessed_dirty,
		.pool = &partition->pool,
		.bug = &partition->bug,
		.owner = partition->id,
		.ops = &partition_mmu_ops,
		.context = partition,
	};

	if (mmu_init(&partition->mmu, &config) ||
	    mmu_vcpu_init(&partition->core_reads, &partition->mmu)) {
		return error_set(error, -ENOMEM, "the metadata pool is too small for the MMU");
	}
	return 0;
}

/* Slots are numbered as they come. */
struct slot_builder {
	struct partition *partition;
	const struct partition_config *config;
	unsigned int next_id;
};

static int create_slot(struct slot_builder *builder, uint64_t address, uint64_t size, pfn_t frame,
		       bool absent, struct error_text *error)
{
	struct memslot_config config = {
		.id = builder->next_id,
		.gfn = gpa_to_gfn(gpa(address)),
		.page_count = size / PAGE_SIZE,
		.pfn = frame,
		.flags = absent ? (uint32_t)MEMSLOT_ABSENT : 0,
	};
	int status;

	if (size == 0) {
		return 0;
	}
	builder->next_id++;
	status = mmu_slot_create(&builder->partition->mmu, &config, error);
	if (status == 0 && absent) {
		status = memory_fault_hold(builder->partition, frame, config.page_count);
	}
	return status;
}

/* A run of frames: one slot, or up to three where part of it is to start absent. */
static int add_slot(struct slot_builder *builder, uint64_t address, uint64_t size, pfn_t frame,
		    struct error_text *error)
{
	uint64_t end = address + size;
	uint64_t from = MIN(MAX(builder->config->absent_start, address), end);
	uint64_t to = MIN(MAX(builder->config->absent_end, from), end);
	int status = create_slot(builder, address, from - address, frame, false, error);

	if (status == 0) {
		status = create_slot(builder, from, to - from,
				     pfn(frame.v + (from - address) / PAGE_SIZE), true, error);
	}
	if (status == 0) {
		status = create_slot(builder, to, end - to,
				     pfn(frame.v + (to - address) / PAGE_SIZE), false, error);
	}
	return status;
}

/*
 * Host memory for [address, address + size): one run if there is one, aligned for large
 * pages, else several, halving down to 2 MiB. The first run, at 0, leaves out the VGA hole.
 */
static int add_memory(struct slot_builder *builder, uint64_t address, uint64_t size,
		      struct error_text *error)
{
	uint64_t chunk = size;

	while (size > 0) {
		size_t align = (size_t)((chunk >= GIB ? GIB : 2 * MIB) / PAGE_SIZE);
		pfn_t frame;
		int status;

		if (frames_alloc(chunk / PAGE_SIZE, align, builder->partition->id, FRAME_PRIVATE,
				 &frame) &&
		    frames_alloc(chunk / PAGE_SIZE, CHUNK_MIN / PAGE_SIZE, builder->partition->id,
				 FRAME_PRIVATE, &frame)) {
			chunk = align_down(chunk / 2, CHUNK_MIN);
			if (chunk == 0) {
				return error_set(error, -ENOMEM,
						 "not enough host memory: %llu KiB are missing",
						 (unsigned long long)(size / KIB));
			}
			continue;
		}
		if (address == 0) {
			status = add_slot(builder, 0, LOW_RAM_END, frame, error);
			status = status ? status
					: add_slot(builder, ROM_AREA, chunk - ROM_AREA,
						   pfn(frame.v + ROM_AREA / PAGE_SIZE), error);
		} else {
			status = add_slot(builder, address, chunk, frame, error);
		}
		if (status) {
			return status;
		}
		address += chunk;
		size -= chunk;
		chunk = MIN(chunk, size);
	}
	return 0;
}

static int create_memory(struct partition *partition, const struct partition_config *config,
			 struct error_text *error)
{
	struct slot_builder builder = { partition, config, 0 };
	uint64_t memory = config->memory;
	uint64_t low = MIN(memory, GUEST_LOW_END);
	int status = add_memory(&builder, 0, low, error);

	if (status == 0 && memory > low) {
		status = add_memory(&builder, ABOVE_4G, memory - low, error);
	}
	return status;
}

static int create_vcpu(struct partition *partition, unsigned int index, struct error_text *error)
{
	struct vcpu *vcpu = &partition->vcpus[index];
	size_t xsave_pages = (virt_xsave_size() + PAGE_SIZE - 1) / PAGE_SIZE;

	vcpu->partition = partition;
	vcpu->id = index;
	vcpu->fetch.page = FETCH_CACHE_EMPTY;
	vcpu->virt.partition = &partition->virt;
	vcpu->virt.asid = partition->id < virt_caps.asid_count ? partition->id : 1;
	vcpu->virt.offer = VIRT_NO_OFFER;
	vcpu->virt.flush = true; /* an earlier life may have left translations of this ASID */
	vcpu->virt.xcr0 = 1;
	vcpu->trace =
		pool_alloc_run(&partition->pool, TRACE_SIZE * sizeof(*vcpu->trace) / PAGE_SIZE);
	vcpu->virt.xsave_area = pool_alloc_run(&partition->pool, xsave_pages);
	for (unsigned int i = 0; i < VIRT_VCPU_PAGES; i++) {
		vcpu->virt.page[i] = pool_alloc_run(&partition->pool, 1);
		if (!vcpu->virt.page[i]) {
			return error_set(error, -ENOMEM, "the metadata pool is too small");
		}
	}
	if (!vcpu->trace || !vcpu->virt.xsave_area) {
		return error_set(error, -ENOMEM, "the metadata pool is too small");
	}
	if (mmu_vcpu_init(&vcpu->mmu, &partition->mmu)) {
		return error_set(error, -ENOSPC, "more vCPUs than an MMU can have");
	}
	return virt->vcpu_init(&vcpu->virt, error);
}

static int create_vcpus(struct partition *partition, unsigned int count, struct error_text *error)
{
	partition->virt.io_bitmap = pool_alloc_run(&partition->pool, 3);
	partition->virt.msr_bitmap = pool_alloc_run(&partition->pool, 2);
	if (!partition->virt.io_bitmap || !partition->virt.msr_bitmap) {
		return error_set(error, -ENOMEM, "the metadata pool is too small");
	}
	virt->partition_init(&partition->virt);
	partition->vcpu_count = count;
	for (unsigned int i = 0; i < count; i++) {
		int status = create_vcpu(partition, i, error);

		if (status) {
			return status;
		}
	}
	return 0;
}

static int create_devices(struct partition *partition, const struct partition_config *config,
			  struct error_text *error)
{
	void *serial = pool_alloc_run(&partition->pool, SERIAL_RING_SIZE / PAGE_SIZE);

	if (!serial) {
		return error_set(error, -ENOMEM, "the metadata pool is too small");
	}
	ring_init(&partition->serial, serial, SERIAL_RING_SIZE);
	msr_state_init(&partition->msrs);
	partition->tsc_offset = 0 - rdtsc();
	partition_host_init(partition);
	partition->devices.host.tsc_hz = tsc_hz();
	partition->devices.host.wall_seconds = rtc_boot_seconds() + tsc_uptime_us() / 1000000;
	return vdevs_init(&partition->devices, config->memory, config->debug_exit);
}

static int target_write(void *context, uint64_t address, const void *data, size_t size)
{
	return guest_physical_write(context, gpa(address), data, size);
}

static int target_zero(void *context, uint64_t address, size_t size)
{
	return guest_physical_zero(context, gpa(address), size);
}

static void add_e820(struct loader_target *target, uint64_t start, uint64_t end,
		     enum loader_e820_type type)
{
	target->e820[target->e820_count++] = (struct loader_e820){ start, end - start, type };
}

static void init_target(struct loader_target *target, struct partition *partition, uint64_t memory)
{
	uint64_t low_end = MIN(memory, GUEST_LOW_END);

	*target = (struct loader_target){
		.context = partition,
		.write = target_write,
		.zero = target_zero,
		.ram_low_end = low_end,
		.rsdp = GUEST_ACPI_BASE,
	};
	add_e820(target, 0, EBDA_BASE, E820_RAM);
	add_e820(target, EBDA_BASE, LOW_RAM_END, E820_RESERVED);
	add_e820(target, GUEST_ACPI_BASE, HIGH_RAM_START, E820_RESERVED);
	add_e820(target, HIGH_RAM_START, low_end, E820_RAM);
	if (memory > low_end) {
		add_e820(target, ABOVE_4G, ABOVE_4G + memory - low_end, E820_RAM);
	}
}

/* Finds a module by the name that the manifest gives; `key` is for the message. */
static int find_file(const char *name, const char *key, struct loader_file *file,
		     struct error_text *error)
{
	const char *base = name;

	for (const char *slash = strchr(base, '/'); slash; slash = strchr(base, '/')) {
		base = slash + 1;
	}
	for (unsigned int i = 0; i < boot->module_count; i++) {
		const struct boot_module *module = &boot->modules[i];

		if (strcmp(module->name, base) == 0) {
			file->name = name;
			file->data = hpa_to_ptr(module->start);
			file->size = (size_t)(module->end.v - module->start.v);
			return 0;
		}
	}
	return error_set(error, -ENOENT,
			 "%s: the boot loader gave no module named \"%s\" (there are %u modules)",
			 key, base, boot->module_count);
}

static int collect_files(const struct partition_config *config, struct loader_request *request,
			 struct error_text *error)
{
	int status = find_file(config->kernel, "kernel", &request->kernel, error);

	if (status == 0 && config->initrd[0]) {
		request->has_initrd = true;
		status = find_file(config->initrd, "initrd", &request->initrd, error);
	}
	for (unsigned int i = 0; status == 0 && i < config->module_count; i++) {
		request->modules[i].args = config->modules[i].args;
		status = find_file(config->modules[i].name, "module", &request->modules[i], error);
		request->module_count = i + 1;
	}
	return status;
}

static int load_guest(struct partition *partition, const struct partition_config *config,
		      struct error_text *error)
{
	static uint8_t tables[8192]; /* the core builds one partition at a time */
	struct loader_request request = {
		.format = config->format,
		.cmdline = config->cmdline,
		.raw_load = config->load,
		.raw_entry = config->entry,
	};
	struct loader_target target;
	struct vcpu_state state;
	size_t size;
	int status = collect_files(config, &request, error);

	if (status) {
		return status;
	}
	size = vacpi_build(tables, sizeof(tables), GUEST_ACPI_BASE, config->vcpus);
	if (size == 0 || size > ACPI_AREA) {
		return error_set(error, -ENOSPC, "the ACPI tables do not fit");
	}
	init_target(&target, partition, config->memory);
	status = target.write(partition, GUEST_ACPI_BASE, tables, size);
	if (status) {
		return error_set(error, status, "the ACPI tables do not fit the guest's memory");
	}
	status = loader_load(&request, &target, &state, error);
	if (status == 0) {
		sched_unload(); /* another partition's vCPU may be in the hardware */
		virt->vcpu_load(&partition->vcpus[0].virt);
		virt->set_state(&partition->vcpus[0].virt, &state);
		virt->set_tsc_offset(&partition->vcpus[0].virt, partition->tsc_offset);
		virt->vcpu_put(&partition->vcpus[0].virt);
	}
	return status;
}

int partition_build(struct partition_entry *entry, struct error_text *error)
{
	const struct partition_config *config = entry->config;
	int status = create_pool(entry, error);

	status = status ? status : create_mmu(entry->partition, error);
	status = status ? status : create_memory(entry->partition, config, error);
	status = status ? status : create_devices(entry->partition, config, error);
	status = status ? status : create_vcpus(entry->partition, config->vcpus, error);
	return status ? status : load_guest(entry->partition, config, error);
}
