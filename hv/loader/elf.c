/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF kernels, 32- and 64-bit class (Tool Interface Standard, "Executable and Linking
 * Format"): program headers only; each PT_LOAD goes to its physical address. How it is then
 * started is said by a PVH note (pvh.c) or, without one, by a Multiboot header (multiboot.c),
 * which may also bring addresses of its own in place of the program headers.
 */
#include "hv/loader/formats.h"

#define ELF_IDENT_SIZE 16
#define ELF_CLASS 4
#define ELF_DATA 5
#define ELF_CLASS_32 1
#define ELF_CLASS_64 2
#define ELF_DATA_LITTLE 1
#define ELF_TYPE 16
#define ELF_MACHINE 18
#define ELF_TYPE_EXEC 2
#define ELF_MACHINE_386 3
#define ELF_MACHINE_X86_64 62
#define PT_LOAD 1
#define PT_NOTE 4
#define SEGMENTS_MAX 64
#define NOTE_HEADER_SIZE 12
#define NOTE_PHYS32_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY: the PVH entry */
#define ADDRESS_END (4 * GIB)

/* Where the two classes differ: offset and width of each field. */
struct elf_layout {
	uint8_t word; /* bytes of an address */
	uint8_t entry;
	uint8_t phoff;
	uint8_t phentsize;
	uint8_t phnum;
	uint8_t header_size;
	uint8_t ph_size;
	uint8_t ph_offset;
	uint8_t ph_vaddr;
	uint8_t ph_paddr;
	uint8_t ph_filesz;
	uint8_t ph_memsz;
	uint8_t ph_align;
};

static const struct elf_layout layout_32 = { 4, 24, 28, 42, 44, 52, 32, 4, 8, 12, 16, 20, 28 };
static const struct elf_layout layout_64 = { 8, 24, 32, 54, 56, 64, 56, 8, 16, 24, 32, 40, 48 };

struct elf {
	const struct loader_file *file;
	const struct elf_layout *layout;
	uint64_t entry;
	uint64_t table; /* offset of the program headers */
	unsigned int count;
};

struct segment_header {
	unsigned int number;
	uint32_t type;
	uint64_t offset;
	uint64_t vaddr;
	uint64_t paddr;
	uint64_t filesz;
	uint64_t memsz;
	uint64_t align;
};

/* True when the file starts with the ELF magic. */
bool elf_probe(const struct loader_file *file)
{
	return file_has(file, 0, 4) && memcmp(file->data,
					      "\x7f"
					      "ELF",
					      4) == 0;
}

static uint64_t header_word(const struct elf *elf, unsigned int offset)
{
	return file_number(elf->file, offset, elf->layout->word);
}

static int read_identity(struct loader *loader, struct elf *elf)
{
	const struct loader_file *file = elf->file;
	uint64_t elf_class = file_number(file, ELF_CLASS, 1);
	uint64_t machine;

	if (!file_has(file, 0, ELF_IDENT_SIZE) ||
	    (elf_class != ELF_CLASS_32 && elf_class != ELF_CLASS_64) ||
	    file_number(file, ELF_DATA, 1) != ELF_DATA_LITTLE) {
		return loader_fail(
			loader, file, -EINVAL,
			"ELF header: class %llu (offset 4), data %llu (5); 32- or 64-bit "
			"little-endian is expected (1 or 2, 1)",
			(unsigned long long)elf_class,
			(unsigned long long)file_number(file, ELF_DATA, 1));
	}
	elf->layout = elf_class == ELF_CLASS_32 ? &layout_32 : &layout_64;
	if (!file_has(file, 0, elf->layout->header_size)) {
		return loader_fail(loader, file, -EINVAL,
				   "ELF header: the file ends at 0x%zx, the header at 0x%x",
				   file->size, elf->layout->header_size);
	}
	machine = file_number(file, ELF_MACHINE, 2);
	if (machine != ELF_MACHINE_386 && machine != ELF_MACHINE_X86_64) {
		return loader_fail(
			loader, file, -EINVAL,
			"ELF header: machine %llu (offset 18); 3 (386) or 62 (x86-64) is "
			"expected",
			(unsigned long long)machine);
	}
	if (file_number(file, ELF_TYPE, 2) != ELF_TYPE_EXEC) {
		return loader_fail(loader, file, -EINVAL,
				   "ELF header: type %llu (offset 16); 2 (executable) is expected",
				   (unsigned long long)file_number(file, ELF_TYPE, 2));
	}
	return 0;
}

static int read_header(struct loader *loader, struct elf *elf)
{
	const struct loader_file *file = elf->file;
	uint64_t entry_size;
	int status = read_identity(loader, elf);

	if (status) {
		return status;
	}
	elf->entry = header_word(elf, elf->layout->entry);
	elf->table = header_word(elf, elf->layout->phoff);
	elf->count = (unsigned int)file_number(file, elf->layout->phnum, 2);
	entry_size = file_number(file, elf->layout->phentsize, 2);
	if (elf->count == 0 || elf->count > SEGMENTS_MAX || entry_size != elf->layout->ph_size) {
		return loader_fail(
			loader, file, -EINVAL,
			"ELF header: %u program headers of %llu bytes; 1 to %u of %u are "
			"expected",
			elf->count, (unsigned long long)entry_size, SEGMENTS_MAX,
			elf->layout->ph_size);
	}
	if (!file_has(file, elf->table, entry_size * elf->count)) {
		return loader_fail(
			loader, file, -EINVAL,
			"ELF header: %u program headers at 0x%llx; the file ends at 0x%zx",
			elf->count, (unsigned long long)elf->table, file->size);
	}
	return 0;
}

/* Reads program header `number` and checks that its bytes are in the file. */
static int read_segment(struct loader *loader, const struct elf *elf, unsigned int number,
			struct segment_header *segment)
{
	const struct elf_layout *layout = elf->layout;
	const struct loader_file *file = elf->file;
	uint64_t at = elf->table + (uint64_t)layout->ph_size * number;

	*segment = (struct segment_header){
		.number = number,
		.type = (uint32_t)file_number(file, at, 4),
		.offset = file_number(file, at + layout->ph_offset, layout->word),
		.vaddr = file_number(file, at + layout->ph_vaddr, layout->word),
		.paddr = file_number(file, at + layout->ph_paddr, layout->word),
		.filesz = file_number(file, at + layout->ph_filesz, layout->word),
		.memsz = file_number(file, at + layout->ph_memsz, layout->word),
		.align = file_number(file, at + layout->ph_align, layout->word),
	};
	if ((segment->type == PT_LOAD || segment->type == PT_NOTE) &&
	    !file_has(file, segment->offset, segment->filesz)) {
		return loader_fail(
			loader, file, -EINVAL,
			"program header %u: 0x%llx bytes at 0x%llx; the file ends at 0x%zx", number,
			(unsigned long long)segment->filesz, (unsigned long long)segment->offset,
			file->size);
	}
	return 0;
}

static int load_segment(struct loader *loader, const struct elf *elf,
			const struct segment_header *segment)
{
	char what[32];
	uint64_t end;
	int status;

	string_format(what, sizeof(what), "program header %u", segment->number);
	if (segment->filesz > segment->memsz) {
		return loader_fail(loader, elf->file, -EINVAL,
				   "%s: 0x%llx bytes in the file, only 0x%llx in memory", what,
				   (unsigned long long)segment->filesz,
				   (unsigned long long)segment->memsz);
	}
	if (!range_fits(segment->paddr, segment->memsz, ADDRESS_END)) {
		return loader_fail(loader, elf->file, -EINVAL,
				   "%s: 0x%llx bytes at physical address 0x%llx go beyond 4 GiB",
				   what, (unsigned long long)segment->memsz,
				   (unsigned long long)segment->paddr);
	}
	end = segment->paddr + segment->memsz;
	if (ranges_overlap(segment->paddr, end, LOADER_LOW_START, LOADER_LOW_END)) {
		return loader_fail(loader, elf->file, -EINVAL,
				   "%s: [0x%llx, 0x%llx) overlaps the boot structures in [0x%llx, "
				   "0x%llx)",
				   what, (unsigned long long)segment->paddr,
				   (unsigned long long)end, (unsigned long long)LOADER_LOW_START,
				   (unsigned long long)LOADER_LOW_END);
	}
	status = loader_zero(loader, what, segment->paddr + segment->filesz,
			     segment->memsz - segment->filesz);
	return status ? status
		      : loader_write(loader, what, segment->paddr,
				     elf->file->data + segment->offset, (size_t)segment->filesz);
}

/*
 * Loads all of PT_LOAD. On success *kernel_end is the end of the highest, and *physical the
 * physical address of `entry`, a virtual one unless `entry_is_physical`.
 */
static int load_segments(struct loader *loader, const struct elf *elf, uint64_t entry,
			 bool entry_is_physical, uint64_t *physical, uint64_t *kernel_end)
{
	bool found = false;

	*kernel_end = 0;
	for (unsigned int i = 0; i < elf->count; i++) {
		struct segment_header segment;
		uint64_t start;
		int status = read_segment(loader, elf, i, &segment);

		if (status) {
			return status;
		}
		if (segment.type != PT_LOAD || segment.memsz == 0) {
			continue;
		}
		status = load_segment(loader, elf, &segment);
		if (status) {
			return status;
		}
		*kernel_end = MAX(*kernel_end, segment.paddr + segment.memsz);
		start = entry_is_physical ? segment.paddr : segment.vaddr;
		if (!found && entry >= start && entry - start < segment.memsz) {
			*physical = entry - start + segment.paddr;
			found = true;
		}
	}
	if (!found) {
		return loader_fail(loader, elf->file, -EINVAL,
				   "entry: 0x%llx is in none of the %u program headers",
				   (unsigned long long)entry, elf->count);
	}
	return 0;
}

/* True when the note at `at`, with `name_size` bytes of name, is the PVH entry's. */
static bool is_pvh_note(const struct loader_file *file, uint64_t at, uint64_t name_size)
{
	return file_number(file, at + 8, 4) == NOTE_PHYS32_ENTRY && name_size == 4 &&
	       memcmp(file->data + at + NOTE_HEADER_SIZE, "Xen", 4) == 0;
}

/*
 * Looks for the PVH entry in one PT_NOTE: *found and *entry. Name and descriptor are padded
 * to 4 bytes, or to 8 in a segment that is aligned so.
 */
static int search_notes(struct loader *loader, const struct elf *elf,
			const struct segment_header *segment, bool *found, uint64_t *entry)
{
	uint64_t padding = segment->align == 8 ? 8 : 4;
	uint64_t at = 0; /* from the start of the segment, as the padding is */

	while (segment->filesz - at >= NOTE_HEADER_SIZE) {
		uint64_t note = segment->offset + at;
		uint64_t name_size = file_number(elf->file, note, 4);
		uint64_t desc_size = file_number(elf->file, note + 4, 4);
		uint64_t desc = align_up(at + NOTE_HEADER_SIZE + name_size, padding);

		if (!range_fits(desc, desc_size, segment->filesz)) {
			return loader_fail(loader, elf->file, -EINVAL,
					   "program header %u: the note at 0x%llx, name %llu and "
					   "descriptor %llu bytes, goes beyond its end",
					   segment->number, (unsigned long long)note,
					   (unsigned long long)name_size,
					   (unsigned long long)desc_size);
		}
		if (is_pvh_note(elf->file, note, name_size)) {
			if (desc_size != 4 && desc_size != 8) {
				return loader_fail(
					loader, elf->file, -EINVAL,
					"program header %u: the PVH note at 0x%llx has a "
					"descriptor of %llu bytes; 4 or 8 are expected",
					segment->number, (unsigned long long)note,
					(unsigned long long)desc_size);
			}
			*found = true;
			*entry = file_number(elf->file, segment->offset + desc,
					     (unsigned int)desc_size);
			return 0;
		}
		at = MIN(align_up(desc + desc_size, padding), segment->filesz);
	}
	return 0;
}

static int find_pvh_entry(struct loader *loader, const struct elf *elf, bool *found,
			  uint64_t *entry)
{
	int status = 0;

	*found = false;
	for (unsigned int i = 0; status == 0 && !*found && i < elf->count; i++) {
		struct segment_header segment;

		status = read_segment(loader, elf, i, &segment);
		if (status == 0 && segment.type == PT_NOTE) {
			status = search_notes(loader, elf, &segment, found, entry);
		}
	}
	return status;
}

/* Starts an image by its Multiboot header; `elf` is NULL when it has no program headers. */
static int load_multiboot(struct loader *loader, const struct elf *elf, uint64_t header)
{
	const struct loader_file *kernel = &loader->request->kernel;
	uint64_t entry = 0;
	uint64_t kernel_end = 0;
	int status;

	if (multiboot_has_addresses(kernel, header)) {
		status = multiboot_load_plain(loader, header, &entry, &kernel_end);
	} else if (elf) {
		status = load_segments(loader, elf, elf->entry, false, &entry, &kernel_end);
	} else {
		status = loader_fail(
			loader, kernel, -EINVAL,
			"Multiboot header at 0x%llx: it gives no addresses (flag 16), and "
			"the file is no ELF",
			(unsigned long long)header);
	}
	return status ? status : multiboot_start(loader, header, entry, kernel_end);
}

/* Loads a request whose kernel is, or is said to be, an ELF or Multiboot image. */
int elf_load(struct loader *loader)
{
	const struct loader_file *kernel = &loader->request->kernel;
	struct elf elf = { .file = kernel };
	bool has_pvh;
	uint64_t header;
	uint64_t entry = 0;
	uint64_t kernel_end;
	int status;

	if (!elf_probe(kernel)) {
		if (multiboot_find(kernel, &header)) {
			return load_multiboot(loader, NULL, header);
		}
		return loader_fail(loader, kernel, -EINVAL,
				   "no ELF: 7f 45 4c 46 at 0 or a Multiboot header is expected");
	}
	status = read_header(loader, &elf);
	status = status ? status : find_pvh_entry(loader, &elf, &has_pvh, &entry);
	if (status) {
		return status;
	}
	if (has_pvh) {
		status = load_segments(loader, &elf, entry, true, &entry, &kernel_end);
		return status ? status : pvh_start(loader, entry, kernel_end);
	}
	if (multiboot_find(kernel, &header)) {
		return load_multiboot(loader, &elf, header);
	}
	return loader_fail(
		loader, kernel, -EINVAL,
		"this ELF has neither a PVH note (Xen, type 18) nor a Multiboot header in "
		"its first 8 KiB");
}
